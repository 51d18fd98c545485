/**
 * A follower cluster of one real node beside a leader cluster of one: what clients see of it. The test
 * is the puller: it applies what the leader cluster has written, when it says so.
 */
import { createGrpcClient, GrpcStatusError, status, type CallOptions } from '@flotilla/grpc';
import { applyV1, mvccV1, regattaV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitUntil } from '../harness/cluster.js';
import { NodeProcess } from '../harness/node-process.js';

const TABLE = 'eu';
const EPOCH = 1n;
const CALL_MS = 20_000;
/** The node has one of its own then, and its answer does not race with the client's clock. */
const WITHOUT_DEADLINE = { deadlineMs: undefined };
const APPLY = '/flotilla.replication.v1.ReplicaApply';

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

class ApiClient {
  private readonly client: ReturnType<typeof createGrpcClient>;

  constructor(address: string) {
    this.client = createGrpcClient(address, { reconnectMinMs: 50, reconnectMaxMs: 500 });
  }

  async call<Q, A>(
    path: string,
    [request, response]: readonly [Codec<Q>, Codec<A>],
    message: Q,
    options: CallOptions = {},
  ): Promise<A> {
    const bytes = request.encode(message).finish();
    return response.decode(
      await this.client.unary(path, bytes, { deadlineMs: CALL_MS, ...options }),
    );
  }

  put(key: string, value: string, options?: CallOptions): Promise<regattaV1.PutResponse> {
    const fields = { table: Buffer.from(TABLE), key: Buffer.from(key), value: Buffer.from(value) };
    const codecs = [regattaV1.PutRequest, regattaV1.PutResponse] as const;
    return this.call('/regatta.v1.KV/Put', codecs, { ...fields, prevKv: false }, options);
  }

  async get(key: string, options?: CallOptions): Promise<string | undefined> {
    const fields = { table: Buffer.from(TABLE), key: Buffer.from(key) };
    const request = regattaV1.RangeRequest.fromPartial(fields);
    const codecs = [regattaV1.RangeRequest, regattaV1.RangeResponse] as const;
    const { kvs } = await this.call('/regatta.v1.KV/Range', codecs, request, options);
    return kvs[0]?.value.toString();
  }

  status(): Promise<regattaV1.StatusResponse> {
    const codecs = [regattaV1.StatusRequest, regattaV1.StatusResponse] as const;
    return this.call('/regatta.v1.Cluster/Status', codecs, { config: true });
  }

  createTable(): Promise<regattaV1.CreateTableResponse> {
    const codecs = [regattaV1.CreateTableRequest, regattaV1.CreateTableResponse] as const;
    return this.call('/regatta.v1.Tables/Create', codecs, { name: TABLE, config: undefined });
  }

  close(): void {
    this.client.close();
  }
}

let leaderNode: NodeProcess;
let followerNode: NodeProcess;
let leader: ApiClient;
let follower: ApiClient;
let tableId = 0n;

beforeAll(async () => {
  leaderNode = await NodeProcess.start();
  followerNode = await NodeProcess.start({
    role: 'follower',
    flags: [`--replication.leader-address=${leaderNode.apiAddress}`],
  });
  leader = new ApiClient(leaderNode.apiAddress);
  follower = new ApiClient(followerNode.apiAddress);
  const { id } = await leader.createTable();
  const codecs = [applyV1.CreateReplicaRequest, applyV1.CreateReplicaResponse] as const;
  const source = { tableId: BigInt(id), epoch: EPOCH };
  const created = await follower.call(`${APPLY}/CreateReplica`, codecs, { table: TABLE, source });
  expect(created.outcome).toBe(0);
  ({ tableId } = created);
});

afterAll(async () => {
  leader.close();
  follower.close();
  await followerNode.dispose();
  await leaderNode.dispose();
});

/** Last index of the table's log in the leader cluster. */
async function leaderIndex(): Promise<number> {
  const { tables } = await leader.status();
  return Number(tables[TABLE]?.raftAppliedIndex ?? 0n);
}

function pull(
  index: number,
  key: string,
  value: string,
  token = 1n,
): Promise<applyV1.ApplyReplicatedResponse> {
  const kv = { key: Buffer.from(key), value: Buffer.from(value) };
  const fields = { table: Buffer.from(TABLE), kv, leaderIndex: BigInt(index) };
  const command = mvccV1.Command.encode(mvccV1.Command.fromPartial(fields)).finish();
  const codecs = [applyV1.ApplyReplicatedRequest, applyV1.ApplyReplicatedResponse] as const;
  const request = { table: TABLE, tableId, epoch: EPOCH, token, commands: [Buffer.from(command)] };
  return follower.call(`${APPLY}/Apply`, codecs, request);
}

async function refusal(call: Promise<unknown>): Promise<GrpcStatusError> {
  const outcome = await call.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome instanceof GrpcStatusError) return outcome;
  throw new Error(`not refused: ${String(outcome)}`);
}

/** A write through the follower cluster, pulled once the leader cluster has it. */
async function putAndPull(key: string, value: string): Promise<regattaV1.PutResponse> {
  const before = await leaderIndex();
  const write = follower.put(key, value);
  await Promise.race([
    write,
    waitUntil('the leader cluster has the write', async () => (await leaderIndex()) > before),
  ]);
  await pull(await leaderIndex(), key, value);
  return write;
}

describe('a follower cluster', () => {
  it('says what it is', async () => {
    const { config, tables } = await follower.status();
    expect(config).toMatchObject({
      role: 'follower',
      'replication.leader-address': [leaderNode.apiAddress],
    });
    expect(Object.keys(tables)).toEqual([TABLE]);
    const metrics = await (await fetch(`${followerNode.restAddress}/metrics`)).text();
    expect(metrics).toContain('flotilla_role{role="follower"} 1');
    expect(metrics).toMatch(/regatta_replication_index\{role="follower",table="eu"\} \d+/);
    expect((await leader.status()).config).toMatchObject({ role: 'leader' });
  });

  it('creates and deletes no tables, in words of Regatta, and lists its copies', async () => {
    expect(await refusal(follower.createTable())).toMatchObject({
      code: status.UNIMPLEMENTED,
      message: 'method Create not implemented for follower',
    });
    const codecs = [regattaV1.DeleteTableRequest, regattaV1.DeleteTableResponse] as const;
    const gone = follower.call('/regatta.v1.Tables/Delete', codecs, { name: TABLE });
    expect((await refusal(gone)).message).toBe('method Delete not implemented for follower');
    const list = [regattaV1.ListTablesRequest, regattaV1.ListTablesResponse] as const;
    const { tables } = await follower.call('/regatta.v1.Tables/List', list, {});
    expect(tables.map(({ name }) => name)).toEqual([TABLE]);
  });

  it('has the leader cluster write, and shows the write once it has answered', async () => {
    const { header } = await putAndPull('k', 'one');
    expect(await follower.get('k')).toBe('one');
    expect(await leader.get('k')).toBe('one');
    const own = await leader.put('k', 'one');
    expect(header?.shardId).toBe(own.header?.shardId);
    const wanted = { metadata: { 'min-revision': String(own.header?.revision) } };
    const read = follower.get('k', wanted);
    await pull(Number(own.header?.revision), 'k', 'one');
    expect(await read).toBe('one');
  });

  it('says that a write is durable, and at which revision, if the copy does not show it in time', async () => {
    const error = await refusal(follower.put('late', 'v', WITHOUT_DEADLINE));
    const index = await leaderIndex();
    expect(error.code).toBe(status.DEADLINE_EXCEEDED);
    expect(error.message).toContain(`durable in the leader cluster at revision ${index}`);
    expect(error.metadata?.['flotilla-committed-revision']).toEqual([String(index)]);
    expect(await leader.get('late')).toBe('v');
  });

  it('refuses by itself what a leader cluster refuses, and gives on what only that can know', async () => {
    expect((await refusal(follower.put('', 'v'))).message).toBe('key must be set');
    const codecs = [regattaV1.PutRequest, regattaV1.PutResponse] as const;
    const fields = { table: Buffer.from('none'), key: Buffer.from('k'), value: Buffer.alloc(0) };
    const unknown = follower.call('/regatta.v1.KV/Put', codecs, { ...fields, prevKv: false });
    expect(await refusal(unknown)).toMatchObject({
      code: status.NOT_FOUND,
      message: 'leader error: rpc error: code = NotFound desc = table not found',
    });
  });

  it('without its leader cluster reads go on, writes fail and change nothing; with it they go again', async () => {
    await leaderNode.kill();
    const error = await refusal(follower.put('k', 'lost', { deadlineMs: 15_000 }));
    expect(error.code).toBe(status.UNAVAILABLE);
    expect(error.message).toMatch(/^leader error: rpc error: code = Unavailable desc = /);
    expect(await follower.get('k')).toBe('one');
    await leaderNode.start();
    expect(await leader.get('k', { waitForReady: true })).toBe('one');
    await putAndPull('k', 'two');
    expect(await follower.get('k')).toBe('two');
  });

  it('B5: after a kill the copy knows its position and whose token was the last', async () => {
    const index = await leaderIndex();
    expect(await pull(index, 'k', 'two', 3n)).toMatchObject({ outcome: 0 });
    await followerNode.kill();
    await followerNode.start();
    const wanted = { metadata: { 'min-revision': String(index) }, waitForReady: true };
    expect(await follower.get('k', wanted)).toBe('two');
    expect(await pull(index + 1, 'k', 'never', 2n)).toEqual({
      outcome: 2,
      leaderIndex: BigInt(index),
    });
    expect(await pull(index, 'k', 'twice', 3n)).toMatchObject({ outcome: 0 });
    expect(await follower.get('k')).toBe('two');
  });

  it('is not taken for a leader cluster: a copy that took writes of its own would be none', async () => {
    await followerNode.stop();
    const { dataDir, apiAddress, raftAddress } = followerNode;
    const asLeader = await NodeProcess.prepare({ dataDir, apiAddress, raftAddress });
    expect(await asLeader.startAndFail()).toMatchObject({ code: 1 });
    expect(asLeader.output).toContain('start its nodes with the command follower');
  });
});
