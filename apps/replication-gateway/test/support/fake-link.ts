/**
 * A gateway of a leader cluster in memory, as a client of it sees it (`flotilla.replication.v1.Link`):
 * sends no more than it has credit for, heartbeats by the clock of the test.
 */
import { type CallOptions, type GrpcClient, type MessageSource } from '@flotilla/grpc';
import { hot, linkV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../src/gateway-clock.js';
import { snapshotChecksum } from '../../src/snapshot-checksum.js';
import { TableDigest } from '../../src/table-digest.js';
import { type FakeLeader, type FakeLeaderTable, orAborted, statusError } from './fake-clusters.js';

type Kind = NonNullable<linkV1.AttachMessage['kind']>;
type Asked = NonNullable<linkV1.AttachRequest['kind']>;
const { SubscriptionEnd_Reason: Reason } = linkV1;

export const LINK_HEARTBEAT_MS = 200;
const TERM_SHIFT = 32n;

export class FakeLink {
  clusterId = 'leader-cluster';
  generation = 1;
  /** What an Attach is answered instead; undefined for a stream. */
  refusal: Error | undefined = undefined;
  /** Says nothing any more, with its connection up. */
  isSilent = false;
  entriesPerMessage = 4;
  /** As older gateways do not. */
  tellsDigests = true;
  rowsPerChunk = 2;
  /** Oldest revision that can be read, or asked for changes since. */
  historyFrom = 0;
  /** Called with each chunk of a snapshot before it is sent. */
  beforeChunk: (nth: number) => Promise<void> | void = () => undefined;
  twistChunk: (chunk: hot.ReceivedSnapshotChunk, nth: number) => hot.ReceivedSnapshotChunk = (
    chunk,
  ) => chunk;
  readonly streams: FakeStream[] = [];
  readonly attaches: { address: string; hello: linkV1.AttachHello }[] = [];
  readonly snapshots: linkV1.ReadSnapshotRequest[] = [];
  private lastId = 100;

  constructor(
    readonly leader: FakeLeader,
    readonly clock: GatewayClock,
  ) {}

  /** Made, or made anew under its name with nothing in it. */
  create(name: string): FakeLeaderTable {
    const before = this.leader.logs.get(name);
    this.leader.logs.delete(name);
    const table = this.leader.table(name);
    table.id = ++this.lastId;
    const deletedTables = before ? [BigInt(before.id)] : [];
    this.tell({ tables: [shown(name, table)], deletedTables });
    return table;
  }

  delete(name: string): void {
    const deletedTables = [BigInt(this.leader.table(name).id)];
    this.leader.logs.delete(name);
    this.tell({ deletedTables });
  }

  /** What was written is sent. */
  poke(): void {
    for (const stream of this.open) stream.send();
  }

  /** All streams break. */
  cut(): void {
    for (const stream of this.open) stream.end(statusError('UNAVAILABLE', 'cut'));
  }

  get open(): FakeStream[] {
    return this.streams.filter(({ isOver }) => !isOver);
  }

  client(address = 'a'): GrpcClient {
    const never = () => Promise.reject(statusError('UNIMPLEMENTED'));
    return {
      bidi: (_, requests, options = {}) => this.attach(address, requests, options),
      serverStream: (_, request, options = {}) =>
        this.readSnapshot(linkV1.ReadSnapshotRequest.decode(request), options),
      unary: never,
      clientStream: never,
      waitForReady: () => Promise.resolve(),
      reset: () => undefined,
      close: () => undefined,
    };
  }

  find(id: number): FakeLeaderTable | undefined {
    return [...this.leader.logs.values()].find((table) => table.id === id);
  }

  private attach(
    address: string,
    requests: MessageSource,
    { signal }: CallOptions,
  ): AsyncIterable<Buffer> {
    const stream = new FakeStream(this);
    this.streams.push(stream);
    signal?.addEventListener('abort', () => stream.end(statusError('CANCELLED')));
    if (signal?.aborted === true) stream.end(statusError('CANCELLED'));
    void stream.hear(requests, (hello) => {
      this.attaches.push({ address, hello });
      if (this.refusal) return stream.end(this.refusal);
      this.welcome(stream);
    });
    return stream;
  }

  private welcome(stream: FakeStream): void {
    const { clusterId, generation } = this;
    const heartbeatMs = BigInt(LINK_HEARTBEAT_MS);
    const welcome = { clusterId, generation: BigInt(generation), heartbeatMs };
    stream.say({ $case: 'welcome', value: welcome });
    const tables = [...this.leader.logs].map(([name, table]) => shown(name, table));
    stream.say({ $case: 'tables', value: changeOf({ begins: true, tables }) });
    void this.beat(stream);
  }

  private async beat(stream: FakeStream): Promise<void> {
    while (!stream.isOver) {
      await this.clock.sleep(LINK_HEARTBEAT_MS);
      const revisions = [...this.leader.logs.values()].map(({ id, lastIndex }) => ({
        tableId: BigInt(id),
        revision: BigInt(lastIndex),
      }));
      const leaderClockMs = BigInt(Math.floor(this.clock.wallMs()) + 5_000);
      stream.say({ $case: 'heartbeat', value: { leaderClockMs, revisions } });
    }
  }

  private tell(change: Parameters<typeof changeOf>[0]): void {
    for (const stream of this.open) stream.say({ $case: 'tables', value: changeOf(change) });
  }

  private async *readSnapshot(
    request: linkV1.ReadSnapshotRequest,
    { signal }: CallOptions,
  ): AsyncGenerator<Buffer, void, undefined> {
    this.snapshots.push(request);
    await Promise.resolve();
    const table = this.find(Number(request.tableId));
    const at = Number(request.atRevision) || (table?.lastIndex ?? 0);
    const since = Number(request.sinceRevision);
    const isGone = at < this.historyFrom || (since > 0 && since < this.historyFrom);
    if (table?.epoch !== Number(request.epoch) || isGone) {
      throw statusError('FAILED_PRECONDITION', 'it cannot be read any more');
    }
    let checksum = 0;
    for (const [nth, content] of chunksOf(table, { at, since, request }, this.rowsPerChunk)) {
      if (signal) await orAborted(this.beforeChunk(nth), signal);
      checksum = snapshotChecksum(content, checksum);
      const isTold = !content.more && (since > 0 || request.afterKey.length > 0);
      const told = isTold && this.tellsDigests && { tableDigest: digestOf(table, at) };
      yield hot.encodeLinkSnapshotChunk(this.twistChunk({ ...content, checksum, ...told }, nth));
    }
  }
}

/** One Attach. */
export class FakeStream implements AsyncIterable<Buffer> {
  isOver = false;
  credit = 0;
  /** Commands sent and not credited again. */
  sentBytes = 0;
  creditedBytes = 0;
  readonly subscriptions = new Map<bigint, { tableId: number; next: number }>();
  readonly asked: Asked[] = [];
  private readonly queue: Buffer[] = [];
  private error: Error | undefined;
  private wake: () => void = () => undefined;

  constructor(private readonly link: FakeLink) {}

  async hear(requests: MessageSource, begun: (hello: linkV1.AttachHello) => void): Promise<void> {
    for await (const bytes of requests) {
      const { kind } = linkV1.AttachRequest.decode(bytes);
      if (!kind || this.isOver) continue;
      this.asked.push(kind);
      if (kind.$case === 'hello') {
        this.credit = Number(kind.value.creditBytes);
        begun(kind.value);
      } else if (kind.$case === 'subscribe') this.subscribe(kind.value);
      else if (kind.$case === 'unsubscribe') this.subscriptions.delete(kind.value.subscription);
      else {
        this.credit += Number(kind.value.bytes);
        this.creditedBytes += Number(kind.value.bytes);
      }
      this.send();
    }
  }

  say(kind: Kind): void {
    if (this.link.isSilent) return;
    this.queue.push(Buffer.from(linkV1.AttachMessage.encode({ kind }).finish()));
    this.wake();
  }

  end(error: Error): void {
    this.isOver = true;
    this.error ??= error;
    this.wake();
  }

  /** As far as the credit goes. */
  send(): void {
    for (const [subscription, one] of this.subscriptions) {
      const table = this.link.find(one.tableId);
      while (table && one.next <= table.lastIndex) {
        const count = Math.min(this.link.entriesPerMessage, table.lastIndex - one.next + 1);
        const entries = Array.from({ length: count }, (_, nth) => table.logEntry(one.next + nth));
        const bytes = entries.reduce((sum, { command }) => sum + command.length, 0);
        if (bytes > this.credit || this.link.isSilent) break;
        this.credit -= bytes;
        this.sentBytes += bytes;
        one.next += count;
        const leaderClockMs = BigInt(Math.floor(this.link.clock.wallMs()) + 5_000);
        const onWire = entries.map(({ index, command }) => ({ index: BigInt(index), command }));
        const at = { leaderRevision: BigInt(table.lastIndex), leaderClockMs };
        const lastCheck = table.check(one.next - 1);
        const value = { subscription, entries: onWire, ...at, lastCheck };
        this.say({ $case: 'entries', value });
      }
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const message = this.queue.shift();
      if (message && !this.error) yield message;
      else if (this.error) throw this.error;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  private subscribe(request: linkV1.Subscribe): void {
    const { tableId, epoch, from, subscription, previousCheck } = request;
    const table = this.link.find(Number(tableId));
    const end = (reason: linkV1.SubscriptionEnd_Reason) => {
      this.say({ $case: 'end', value: { subscription, reason, message: 'test', first: 0n } });
    };
    if (table?.epoch !== Number(epoch)) return end(Reason.OTHER_TABLE);
    if (from < table.firstIndex) return end(Reason.COMPACTED);
    if (from > table.lastIndex + 1) return end(Reason.LEADER_BEHIND);
    const check = table.check(Number(from) - 1);
    if (previousCheck !== undefined && check !== undefined) {
      // Of what was cut no more than the term is known.
      const known = Number(from) > table.firstIndex ? 0n : TERM_SHIFT;
      if (previousCheck >> known !== check >> known) return end(Reason.DIVERGED);
    }
    this.subscriptions.set(subscription, { tableId: table.id, next: Number(from) });
  }
}

interface Wanted {
  readonly at: number;
  readonly since: number;
  readonly request: linkV1.ReadSnapshotRequest;
}

function* chunksOf(
  table: FakeLeaderTable,
  { at, since, request }: Wanted,
  perChunk: number,
): Generator<[number, Omit<hot.ReceivedSnapshotChunk, 'checksum'>]> {
  const rows = new Map(table.rows(at).map((row) => [row.key.toString(), row]));
  const touched = since > 0 ? table.writes.slice(since, at).map(([key]) => key) : rows.keys();
  const isLeft = (key: string) => Buffer.compare(Buffer.from(key), request.afterKey) > 0;
  const keys = [...new Set(touched)].filter(isLeft).sort();
  for (let nth = 0; nth === 0 || nth * perChunk < keys.length; nth++) {
    const some = keys.slice(nth * perChunk, (nth + 1) * perChunk);
    const place = { appliedIndex: at, revision: at, appliedCheck: table.check(at) };
    const stands = { tableId: table.id, epoch: table.epoch, ...place };
    yield [
      nth,
      {
        position: nth === 0 ? stands : undefined,
        rows: some.flatMap((key) => rows.get(key) ?? []),
        deletedKeys: some.filter((key) => !rows.has(key)).map((key) => Buffer.from(key)),
        more: (nth + 1) * perChunk < keys.length,
      },
    ];
  }
}

function digestOf(table: FakeLeaderTable, at: number): Buffer {
  const digest = TableDigest.empty();
  digest.add(table.rows(at));
  return digest.bytes();
}

function shown(name: string, { id, epoch, lastIndex }: FakeLeaderTable) {
  const revision = BigInt(lastIndex);
  const place = { replicas: [], preferredLeader: 0n };
  return { id: BigInt(id), name, epoch: BigInt(epoch), revision, ...place };
}

function changeOf(change: {
  begins?: boolean;
  tables?: ReturnType<typeof shown>[];
  deletedTables?: bigint[];
}) {
  const nothing = { more: false, nodes: [], removedNodes: [], clusterId: '', generation: 1n };
  return { begins: false, tables: [], deletedTables: [], ...nothing, ...change };
}
