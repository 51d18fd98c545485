/**
 * Both clusters of a gateway that pulls, in memory: a leader cluster with logs and snapshots, and
 * one with copies that judge as real ones do: leases by a clock, fences by epoch and token,
 * commands whose leader index does not grow left out.
 */
import { GrpcStatusError, SnappyFramedEncoder, status } from '@flotilla/grpc';
import { polledTables, untilAborted } from '../../src/follower/leader-cluster.js';
import { hot, mvccV1, replicationV1 } from '@flotilla/proto';
import { type GatewayClock } from '../../src/gateway-clock.js';
import {
  type Applied,
  type Batch,
  type CopyList,
  type CopySource,
  type CreateOutcome,
  type DeleteOutcome,
  type LeaderCluster,
  type LeaderSnapshot,
  type LeaderTable,
  type LeaderTables,
  type Lease,
  type LeaseHold,
  type LogStream,
  type OwnCluster,
  type Position,
  type Row,
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

  log({ table }: LeaderTable, from: number, signal: AbortSignal): LogStream {
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
  token = 0;
  lease: { holder: string; token: number; expiresAtMs: number } | undefined = undefined;

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
  readonly reports: Position[][] = [];
  readonly calls: string[] = [];
  /** Stands between a call and what it does; may fail before or after it. */
  around: (method: string, deed: Deed<unknown>, argument: unknown) => unknown = (_, deed) => deed();
  private lastId = 0;

  constructor(private readonly clock: Pick<GatewayClock, 'nowMs'>) {}

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
      const copies = all.flatMap(({ table, copy: { id, source, lease } }) => {
        if (!source) return [];
        const remainingMs = Math.max(0, (lease?.expiresAtMs ?? 0) - this.clock.nowMs());
        return [{ table, id, source, lease: lease && { ...lease, remainingMs } }];
      });
      const localTables = all.filter(({ copy }) => !copy.source).map(({ table }) => table);
      return { copies, localTables };
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

  acquire({ copy, holder, token }: LeaseHold, ttlMs: number): Promise<Lease | undefined> {
    return this.do('acquire', copy.table, () => {
      const there = this.existing(copy.table, copy.id);
      const { lease } = there;
      const nowMs = this.clock.nowMs();
      const isOwn = lease?.holder === holder && lease.token === token;
      const isFree = !lease || lease.holder === '' || lease.holder === holder;
      const mayTake = token === 0 ? isFree || lease.expiresAtMs <= nowMs : isOwn;
      if (!mayTake) return undefined;
      const next = token === 0 ? (lease?.token ?? 0) + 1 : token;
      there.lease = { holder, token: next, expiresAtMs: nowMs + ttlMs };
      return { holder, token: next, remainingMs: ttlMs };
    });
  }

  release({ copy, holder, token }: LeaseHold): Promise<void> {
    return this.do('release', copy.table, () => {
      const there = this.existing(copy.table, copy.id);
      if (there.lease?.holder !== holder || there.lease.token !== token) return;
      there.lease = { holder: '', token, expiresAtMs: 0 };
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
      return { outcome: 'applied' as const, leaderIndex: there.index };
    });
  }

  report(positions: readonly Position[]): Promise<void> {
    return this.do('report', positions, () => void this.reports.push([...positions]));
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
