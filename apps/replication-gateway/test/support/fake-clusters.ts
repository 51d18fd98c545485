/**
 * Both clusters of a gateway that pulls, in memory: a leader cluster with logs and snapshots, and
 * one with copies that judge as real ones do: leases by a clock, fences by epoch and token,
 * commands whose leader index does not grow left out.
 */
import { crc32c } from '@node-rs/crc32';
import { GrpcStatusError, SnappyFramedEncoder, status } from '@flotilla/grpc';
import { polledTables, untilAborted } from '../../src/follower/leader-cluster.js';
import { hot, mvccV1, replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../src/gateway-clock.js';
import {
  type Applied,
  type Batch,
  type Copy,
  type CopyList,
  type CopySource,
  type CreateOutcome,
  type DeleteOutcome,
  type HeldLease,
  type HeldSession,
  type LeaderCluster,
  type LeaderSnapshot,
  type LeaderTable,
  type LeaderTables,
  type LogStart,
  type LogStream,
  type OwnCluster,
  type PositionReport,
  type Row,
  type SessionName,
  type SessionWish,
} from '../../src/follower/ports.js';

const { DELETE, DUMMY, PUT, PUT_BATCH } = mvccV1.Command_CommandType;
const { LEADER_BEHIND, USE_SNAPSHOT } = replicationV1.ReplicateError;

export function statusError(code: keyof typeof status, message = 'test'): GrpcStatusError {
  return new GrpcStatusError(status[code], message);
}

function commandOf(fields: Partial<mvccV1.Command>): Buffer {
  return Buffer.from(mvccV1.Command.encode(mvccV1.Command.fromPartial(fields)).finish());
}

/** Key and value; a value of undefined deletes. */
export type Write = readonly [string, string | undefined];

export class FakeLeaderTable {
  firstIndex = 1;
  /** In the leader cluster; the protocol of Regatta does not tell it. */
  id = 0;
  epoch = 1;
  readonly writes: Write[] = [];
  /** Terms of the log, each with its first index. */
  private terms = [{ from: 1, term: 1 }];
  private lastTerm = 1;

  get term(): number {
    return this.lastTerm;
  }

  /** As it was once, and in another term from there on. */
  setBack(index: number): void {
    this.writes.length = index;
    this.terms = this.terms.filter(({ from }) => from <= index);
    this.terms.push({ from: index + 1, term: ++this.lastTerm });
  }

  /** Of an entry; undefined where there is none. */
  check(index: number): bigint | undefined {
    const term = this.terms.findLast(({ from }) => from <= index)?.term ?? 0;
    const write = this.writes[index - 1];
    return write && (BigInt(term) << 32n) | BigInt(crc32c(JSON.stringify(write)));
  }

  get lastIndex(): number {
    return this.writes.length;
  }

  /** Content after so many entries. */
  content(index = this.lastIndex): Map<string, string> {
    const pairs = new Map<string, string>();
    for (const [key, value] of this.writes.slice(0, index)) {
      if (value === undefined) pairs.delete(key);
      else pairs.set(key, value);
    }
    return pairs;
  }

  /** Rows after so many entries, in the order of keys; each entry is a revision. */
  rows(index = this.lastIndex): Row[] {
    const rows = new Map<string, Row>();
    for (const [at, [key, value]] of this.writes.slice(0, index).entries()) {
      if (value === undefined) rows.delete(key);
      else rows.set(key, written(rows.get(key), key, value, at + 1));
    }
    return inOrder(rows.values());
  }

  /** As the log has it: without its index in the command. */
  logEntry(index: number): hot.ReceivedEntry {
    const fields = mvccV1.Command.decode(this.entry(index).command);
    return { index, command: commandOf({ ...fields, leaderIndex: undefined }) };
  }

  entry(index: number): hot.ReceivedEntry {
    const [key, value] = this.writes[index - 1] ?? ['', undefined];
    const kv = { key: Buffer.from(key), value: Buffer.from(value ?? '') };
    const fields = { type: value === undefined ? DELETE : PUT, leaderIndex: BigInt(index) };
    return { index, command: commandOf({ ...fields, kv: mvccV1.KeyValue.fromPartial(kv) }) };
  }
}

export class FakeLeader implements LeaderCluster {
  readonly logs = new Map<string, FakeLeaderTable>();
  readonly polls: { table: string; from: number }[] = [];
  entriesPerMessage = 3;
  snapshotPieceBytes = 1_000;
  /** Thrown by the next calls, one each; undefined lets one through. */
  failures: (Error | undefined)[] = [];
  /** Changes what a poll is told, for leaders that do what they must not. */
  twist: (message: hot.ReplicateMessage) => hot.ReplicateMessage | undefined = (message) => message;
  /** Called with every piece of a snapshot before it is given. */
  beforePiece: (nth: number) => Promise<void> | void = () => undefined;

  table(name: string): FakeLeaderTable {
    let table = this.logs.get(name);
    if (!table) this.logs.set(name, (table = new FakeLeaderTable()));
    return table;
  }

  readonly known = undefined;

  changed(signal: AbortSignal): Promise<void> {
    return untilAborted(signal);
  }

  tables(): Promise<LeaderTables> {
    const failure = this.failures.shift();
    return failure ? Promise.reject(failure) : Promise.resolve(polledTables([...this.logs.keys()]));
  }

  log({ table }: LeaderTable, { from }: LogStart, signal: AbortSignal): LogStream {
    return {
      mayLeaveOut: false,
      applied: () => undefined,
      [Symbol.asyncIterator]: () => this.poll(table, from, signal),
    };
  }

  snapshot({ table }: LeaderTable): Promise<LeaderSnapshot> {
    const open = (signal: AbortSignal) => this.pairs(table, signal);
    return Promise.resolve({ kind: 'pairs', open });
  }

  async *poll(
    name: string,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<hot.ReplicateMessage, void, undefined> {
    this.polls.push({ table: name, from });
    await Promise.resolve();
    const failure = this.failures.shift();
    if (failure) throw failure;
    for (const message of this.messages(name, from)) {
      if (signal.aborted) throw statusError('CANCELLED');
      const twisted = this.twist(message);
      if (twisted) yield twisted;
    }
  }

  async *pairs(name: string, signal: AbortSignal): AsyncGenerator<Buffer, void, undefined> {
    const failure = this.failures.shift();
    if (failure) throw failure;
    const table = this.table(name);
    const encoder = new SnappyFramedEncoder();
    const bytes = Buffer.from(name);
    const packed: Buffer[] = [];
    for (const [key, value] of table.content()) {
      const pair = hot.encodeSnapshotPair(bytes, Buffer.from(key), Buffer.from(value));
      packed.push(...encoder.push(pair));
    }
    packed.push(...encoder.push(hot.encodeSnapshotEnd(bytes, table.lastIndex)), ...encoder.end());
    const whole = Buffer.concat(packed);
    for (let at = 0, nth = 0; at < whole.length; at += this.snapshotPieceBytes, nth++) {
      await orAborted(this.beforePiece(nth), signal);
      yield whole.subarray(at, at + this.snapshotPieceBytes);
    }
  }

  private *messages(name: string, from: number): Iterable<hot.ReplicateMessage> {
    const table = this.logs.get(name);
    if (!table) throw statusError('NOT_FOUND', 'table not found');
    const { lastIndex, firstIndex } = table;
    const told = { entries: [], error: 0, leaderIndex: 0 };
    if (from > lastIndex + 1 || from < firstIndex) {
      yield { ...told, kind: 'error', error: from < firstIndex ? USE_SNAPSHOT : LEADER_BEHIND };
      return;
    }
    for (let next = from; next <= lastIndex; next += this.entriesPerMessage) {
      const count = Math.min(this.entriesPerMessage, lastIndex - next + 1);
      const entries = Array.from({ length: count }, (_, at) => table.entry(next + at));
      yield { ...told, kind: 'commands', entries, leaderIndex: lastIndex };
    }
    yield { ...told, kind: 'final', leaderIndex: lastIndex };
  }
}

/** As calls are: ended by their callers at any time. */
export function orAborted(outcome: Promise<void> | void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(statusError('CANCELLED'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    Promise.resolve(outcome)
      .finally(() => signal.removeEventListener('abort', abort))
      .then(resolve, reject);
  });
}

function written(before: Row | undefined, key: string, value: string, revision: number): Row {
  return {
    key: Buffer.from(key),
    value: Buffer.from(value),
    createRevision: before?.createRevision ?? revision,
    modRevision: revision,
    version: (before?.version ?? 0) + 1,
  };
}

export function inOrder(rows: Iterable<Row>): Row[] {
  return [...rows].sort((a, b) => Buffer.compare(a.key, b.key));
}

export class FakeCopy {
  readonly rowsByKey = new Map<string, Row>();
  /** Leader indexes as they were applied. */
  readonly applied: number[] = [];
  index = 0;
  /** Of the entry at the index, as the pullers told it. */
  check: bigint | undefined;
  token = 0;
  lease: { holder: string; token: number; session: number } | undefined = undefined;
  renewalWanted = false;

  constructor(
    readonly id: number,
    readonly source: CopySource | undefined,
  ) {}

  get content(): Map<string, string> {
    return new Map([...this.rowsByKey].map(([key, { value }]) => [key, value.toString()]));
  }

  get rows(): Row[] {
    return inOrder(this.rowsByKey.values());
  }

  apply(bytes: Buffer): void {
    const { type, kv, batch, leaderIndex } = mvccV1.Command.decode(bytes);
    const index = Number(leaderIndex);
    if (index <= this.index) return;
    this.index = index;
    this.applied.push(index);
    if (type === PUT && kv) this.put(kv, index);
    else if (type === DELETE && kv) this.rowsByKey.delete(kv.key.toString());
    else if (type === PUT_BATCH) for (const pair of batch) this.put(pair, index);
    else if (type !== DUMMY) throw new Error(`a command of type ${type}`);
  }

  private put({ key, value }: mvccV1.KeyValue, index: number): void {
    const name = key.toString();
    this.rowsByKey.set(name, written(this.rowsByKey.get(name), name, value.toString(), index));
  }
}

function sameSource(one: CopySource | undefined, other: CopySource): boolean {
  return one?.tableId === other.tableId && one.epoch === other.epoch;
}

type Deed<T> = () => T;

export class FakeOwn implements OwnCluster {
  readonly tables = new Map<string, FakeCopy>();
  readonly reports: PositionReport[] = [];
  readonly calls: string[] = [];
  /** Stands between a call and what it does; may fail before or after it. */
  around: (method: string, deed: Deed<unknown>, argument: unknown) => unknown = (_, deed) => deed();
  /** By their holders. */
  readonly sessions = new Map<string, { token: number; untilMs: number }>();
  private lastId = 0;
  private lastSession = 0;
  private leaseChanges = 0;

  constructor(private readonly clock: Pick<GatewayClock, 'nowMs'>) {}

  /** Who holds a table, and is not dead. */
  holderOf(name: string): string {
    const { lease } = this.copy(name);
    return lease && this.remainingMs(lease) > 0 ? lease.holder : '';
  }

  copy(name: string): FakeCopy {
    const copy = this.tables.get(name);
    if (!copy) throw new Error(`there is no copy of ${name}`);
    return copy;
  }

  local(name: string): void {
    this.tables.set(name, new FakeCopy(this.newId(), undefined));
  }

  list(): Promise<CopyList> {
    return this.do('list', undefined, () => {
      const all = [...this.tables].map(([table, copy]) => ({ table, copy }));
      const copies = all.flatMap(({ table, copy: { id, source, lease, renewalWanted } }) => {
        if (!source) return [];
        const held = lease && {
          holder: lease.holder,
          token: lease.token,
          remainingMs: this.remainingMs(lease),
        };
        const listed = { table, id, source, lease: held };
        return [renewalWanted ? { ...listed, renewalWanted } : listed];
      });
      const localTables = all.filter(({ copy }) => !copy.source).map(({ table }) => table);
      return { copies, localTables, version: this.version };
    });
  }

  create(table: string, source: CopySource): Promise<{ outcome: CreateOutcome; id: number }> {
    return this.do('create', table, () => {
      const there = this.tables.get(table);
      if (!there) {
        const copy = new FakeCopy(this.newId(), source);
        this.tables.set(table, copy);
        return { outcome: 'created' as const, id: copy.id };
      }
      const { id } = there;
      if (!there.source) return { outcome: 'local' as const, id };
      const isSame = sameSource(there.source, source);
      return { outcome: isSame ? ('exists' as const) : ('other-source' as const), id };
    });
  }

  delete(table: string, source: CopySource): Promise<DeleteOutcome> {
    return this.do('delete', table, () => {
      const there = this.tables.get(table);
      if (!there) return 'missing' as const;
      if (!sameSource(there.source, source)) return 'other' as const;
      this.tables.delete(table);
      return 'deleted' as const;
    });
  }

  holdSession({ holder, token, ttlMs }: SessionWish): Promise<HeldSession | undefined> {
    return this.do('holdSession', holder, () => {
      const nowMs = this.clock.nowMs();
      if (token > 0 && this.sessions.get(holder)?.token !== token) return undefined;
      if (token === 0) {
        for (const [name, { untilMs }] of this.sessions) {
          if (untilMs <= nowMs) this.sessions.delete(name);
        }
        this.leaseChanges++;
      }
      const held = token > 0 ? token : ++this.lastSession;
      this.sessions.set(holder, { token: held, untilMs: nowMs + ttlMs });
      const living = [...this.sessions].filter(([, { untilMs }]) => untilMs > nowMs);
      const gateways = living.map(([name, { untilMs }]) => ({
        holder: name,
        remainingMs: untilMs - nowMs,
      }));
      return { token: held, gateways, version: this.version };
    });
  }

  endSession({ holder, token }: SessionName): Promise<void> {
    return this.do('endSession', holder, () => {
      if (this.sessions.get(holder)?.token === token) this.sessions.delete(holder);
    });
  }

  takeLeases(
    { holder, token }: SessionName,
    copies: readonly Copy[],
  ): Promise<readonly number[] | undefined> {
    return this.do('takeLeases', copies, () => {
      if (this.sessions.get(holder)?.token !== token) return undefined;
      return copies.map(({ table, id }) => {
        const there = this.tables.get(table);
        if (there?.id !== id) return 0;
        const { lease } = there;
        if (lease && lease.holder !== holder && this.remainingMs(lease) > 0) return 0;
        there.lease = { holder, token: (lease?.token ?? 0) + 1, session: token };
        this.leaseChanges++;
        return there.lease.token;
      });
    });
  }

  giveBackLeases(holder: string, leases: readonly HeldLease[]): Promise<void> {
    return this.do('giveBackLeases', leases, () => {
      for (const { copy, token } of leases) {
        const there = this.tables.get(copy.table);
        if (there?.lease?.holder !== holder || there.lease.token !== token) continue;
        there.lease = { holder: '', token, session: 0 };
        this.leaseChanges++;
      }
    });
  }

  apply(batch: Batch): Promise<Applied> {
    return this.do('apply', batch, () => {
      const there = this.existing(batch.copy.table, batch.copy.id);
      const { index: leaderIndex } = there;
      if (batch.copy.source.epoch !== there.source?.epoch) {
        return { outcome: 'other-epoch' as const, leaderIndex };
      }
      if (batch.token < there.token) return { outcome: 'old-token' as const, leaderIndex };
      there.token = batch.token;
      for (const command of batch.commands) there.apply(command);
      if (there.index !== leaderIndex) there.check = batch.lastCheck;
      const place = { leaderIndex: there.index, leaderCheck: there.check };
      return { outcome: 'applied' as const, ...place };
    });
  }

  report(report: PositionReport): Promise<boolean> {
    return this.do('report', report, () => {
      this.reports.push(report);
      return false;
    });
  }

  /** Sessions that run out change it without anybody doing something. */
  private get version(): number {
    const copies = [...this.tables.values()];
    const ids = copies.reduce((sum, { id }) => sum + id, 0);
    const wanted = copies.filter(({ renewalWanted }) => renewalWanted).length;
    return (ids * 1_000 + wanted) * 1_000_000 + this.leaseChanges;
  }

  private remainingMs({ holder, session }: NonNullable<FakeCopy['lease']>): number {
    const held = this.sessions.get(holder);
    return held?.token === session ? Math.max(0, held.untilMs - this.clock.nowMs()) : 0;
  }

  newId(): number {
    return ++this.lastId;
  }

  existing(table: string, id: number): FakeCopy {
    const copy = this.tables.get(table);
    if (copy?.id !== id) throw statusError('NOT_FOUND', 'table not found');
    return copy;
  }

  async do<T>(method: string, argument: unknown, deed: Deed<T>): Promise<T> {
    this.calls.push(method);
    await Promise.resolve();
    return (await this.around(method, deed, argument)) as T;
  }
}
