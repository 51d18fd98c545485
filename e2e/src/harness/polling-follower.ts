/**
 * A follower as servers of Regatta are one: it asks for the log of a table from the index after its
 * last one, and for a snapshot where the log does not go back that far.
 *
 * Written from the contract alone, over grpc-js. It applies what it gets to a map and refuses whatever
 * such a server could not take: an index that does not grow, a gap, a command of a kind above 6.
 */
import { createGrpcJsClient, type GrpcClient, SnappyFramedDecoder } from '@flotilla/grpc';
import { mvccV1, replicationV1 } from '@flotilla/proto';

const CALL_MS = 60_000;
const { DELETE, DELETE_BATCH, DUMMY, PUT, PUT_BATCH, SEQUENCE, TXN } = mvccV1.Command_CommandType;
const TYPE_MAX = SEQUENCE;
const LENGTH_BYTES = 8;

export type PollOutcome = 'tailing' | 'use-snapshot' | 'leader-behind';

export class PollingFollower {
  readonly pairs = new Map<string, string>();
  /** Index of the last put of each key. */
  readonly putAt = new Map<string, number>();
  /** Index of the last command that was applied. */
  index = 0;
  snapshots = 0;
  commands = 0;
  private readonly client: GrpcClient;
  private readonly table: Buffer;

  constructor(address: string, table: string) {
    this.client = createGrpcJsClient(address, { receiveBytesMax: 8 * 1024 * 1024 });
    this.table = Buffer.from(table);
  }

  close(): void {
    this.client.close();
  }

  async tables(): Promise<string[]> {
    const answer = await this.client.unary('/replication.v1.Metadata/Get', new Uint8Array(0), {
      deadlineMs: CALL_MS,
    });
    return replicationV1.MetadataResponse.decode(answer).tables.map(({ name }) => name);
  }

  /** One poll, from the index after the last one, or from another one. */
  async poll(from = this.index + 1): Promise<PollOutcome> {
    const { table } = this;
    const request = replicationV1.ReplicateRequest.encode({ table, leaderIndex: BigInt(from) });
    let final: number | undefined;
    for await (const bytes of this.stream('/replication.v1.Log/Replicate', request.finish())) {
      if (final !== undefined) throw new Error('a message follows the final one');
      const { response, leaderIndex } = replicationV1.ReplicateResponse.decode(bytes);
      if (response?.$case === 'errorResponse') {
        const { error } = response.value;
        const isGone = error === replicationV1.ReplicateError.USE_SNAPSHOT;
        return isGone ? 'use-snapshot' : 'leader-behind';
      }
      if (response === undefined) final = Number(leaderIndex);
      else for (const command of response.value.commands) this.take(command);
    }
    if (final === undefined) throw new Error('a poll ended without the final message');
    if (final < this.index) throw new Error(`the leader is at ${final}, and gave ${this.index}`);
    return 'tailing';
  }

  /** Polls, and takes a snapshot where that is what the leader says. */
  async follow(): Promise<void> {
    if ((await this.poll()) === 'use-snapshot') await this.recover();
  }

  async recover(): Promise<void> {
    const request = replicationV1.SnapshotRequest.encode({ table: this.table }).finish();
    const decoder = new SnappyFramedDecoder();
    const pairs = new Map<string, string>();
    let plain: Buffer = Buffer.alloc(0);
    let end: number | undefined;
    for await (const bytes of this.stream('/replication.v1.Snapshot/Stream', request)) {
      const { data, len } = replicationV1.SnapshotChunk.decode(bytes);
      if (Number(len) !== data.length) throw new Error(`a chunk of ${len} has ${data.length}`);
      plain = Buffer.concat([plain, ...decoder.push(data)]);
      for (;;) {
        const record = recordOf(plain);
        if (!record) break;
        plain = plain.subarray(LENGTH_BYTES + record.length);
        if (end !== undefined) throw new Error('a record follows the closing one');
        const { type, kv, leaderIndex } = mvccV1.Command.decode(record);
        if (type === DUMMY) end = Number(leaderIndex);
        else if (type === PUT && kv) pairs.set(text(kv.key), text(kv.value));
        else throw new Error(`a snapshot holds a command of type ${type}`);
      }
    }
    decoder.end();
    if (end === undefined || plain.length > 0) throw new Error('a snapshot was cut short');
    this.pairs.clear();
    for (const [key, value] of pairs) this.pairs.set(key, value);
    this.index = end;
    this.snapshots++;
  }

  private stream(path: string, request: Uint8Array): AsyncIterable<Buffer> {
    return this.client.serverStream(path, request, { deadlineMs: CALL_MS, encoding: 'gzip' });
  }

  private take({ leaderIndex, command }: replicationV1.ReplicateCommand): void {
    const index = Number(leaderIndex);
    if (index !== this.index + 1) throw new Error(`entry ${index} follows ${this.index}`);
    if (!command || command.leaderIndex !== leaderIndex) {
      throw new Error(`the command of entry ${index} is of ${command?.leaderIndex ?? 'nothing'}`);
    }
    this.apply(command);
    if (command.type === PUT && command.kv) this.putAt.set(text(command.kv.key), index);
    this.index = index;
    this.commands++;
  }

  private apply(command: mvccV1.Command): void {
    const { type, kv, batch, txn } = command;
    if (type > TYPE_MAX || type < 0) throw new Error(`unknown command type ${type}`);
    if (type === PUT && kv) this.pairs.set(text(kv.key), text(kv.value));
    if (type === DELETE && kv) this.remove(kv.key, command.rangeEnd);
    if (type === PUT_BATCH)
      for (const pair of batch) this.pairs.set(text(pair.key), text(pair.value));
    if (type === DELETE_BATCH) for (const pair of batch) this.remove(pair.key, undefined);
    if (type === SEQUENCE) for (const member of command.sequence) this.apply(member);
    if (type === TXN && txn) {
      const holds = txn.compare.every((compare) => this.holds(compare));
      for (const { request } of holds ? txn.success : txn.failure) this.run(request);
    }
  }

  private run(request: mvccV1.RequestOp['request']): void {
    if (request?.$case === 'requestPut') {
      this.pairs.set(text(request.value.key), text(request.value.value));
    } else if (request?.$case === 'requestDeleteRange') {
      const { key, rangeEnd } = request.value;
      this.remove(key, rangeEnd.length > 0 ? rangeEnd : undefined);
    }
  }

  private remove(key: Buffer, rangeEnd: Buffer | undefined): void {
    if (rangeEnd === undefined) {
      this.pairs.delete(text(key));
      return;
    }
    const isOpen = rangeEnd.length === 1 && rangeEnd[0] === 0;
    for (const name of [...this.pairs.keys()]) {
      if (name >= text(key) && (isOpen || name < text(rangeEnd))) this.pairs.delete(name);
    }
  }

  /** Existence and equality, which is what the tests use. */
  private holds({ key, targetUnion, result }: mvccV1.Compare): boolean {
    const value = this.pairs.get(text(key));
    if (value === undefined) return false;
    if (targetUnion?.$case !== 'value') return true;
    if (result !== mvccV1.Compare_CompareResult.EQUAL) throw new Error('not part of this follower');
    return value === text(targetUnion.value);
  }
}

/** Bytes of a record that is there as a whole. */
function recordOf(plain: Buffer): Buffer | undefined {
  if (plain.length < LENGTH_BYTES) return undefined;
  const end = LENGTH_BYTES + Number(plain.readBigUInt64LE(0));
  return plain.length < end ? undefined : plain.subarray(LENGTH_BYTES, end);
}

/** In the order of bytes, as keys are. */
function text(bytes: Buffer): string {
  return bytes.toString('latin1');
}
