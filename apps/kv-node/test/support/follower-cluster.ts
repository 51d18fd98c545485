/**
 * A follower cluster in one process: real nodes on sockets and in memory, with a leader cluster that is
 * a script, and a puller that is the test.
 */
import { createGrpcClient, createGrpcServer, type CallOptions } from '@flotilla/grpc';
import { freePort } from '@flotilla/grpc/testing';
import { SimulatedEngine } from '@flotilla/mvcc/simulation';
import { loadConfig } from '@flotilla/platform';
import { applyV1, mvccV1, regattaV1 } from '@flotilla/proto';
import { openLogStore } from '@flotilla/raft';
import { SimulatedFiles } from '@flotilla/raft/testing';
import { kvNodeSchema } from '../../src/config/kv-node-config.js';
import { type LeaderCluster } from '../../src/follower/leader-writes.js';
import { REPLICA_APPLY_SERVICE } from '../../src/follower/replica-api.js';
import { SYSTEM_CLOCK } from '../../src/node/node-clock.js';
import { NodeCore } from '../../src/node-core.js';
import { grpcTransport } from '../../src/peers/peer-transport.js';
import { quiet } from '../../src/peers/testing/test-node.js';
import { SILENT } from './node-on-disk.js';

const JOIN_MS = 60_000;
export const LEADER_TABLE = 500;
export const EPOCH = 9;

/** What the leader cluster does with a write. */
export type LeaderScript = (path: string, request: Uint8Array, call: number) => Promise<Buffer>;

/** The bytes of a leader cluster's answer: every kind has its header first. */
export function leaderAnswer(revision: number, shardId = LEADER_TABLE): Buffer {
  const header = { shardId: BigInt(shardId), replicaId: 3n, revision: BigInt(revision) };
  const answer = { header: { ...header, raftTerm: 7n, raftLeaderId: 2n }, prevKv: undefined };
  return Buffer.from(regattaV1.PutResponse.encode(answer).finish());
}

export function command(index: number, key: string, value: string): Buffer {
  const kv = { key: Buffer.from(key), value: Buffer.from(value) };
  const fields = { table: Buffer.from('t'), kv, leaderIndex: BigInt(index) };
  return Buffer.from(mvccV1.Command.encode(mvccV1.Command.fromPartial(fields)).finish());
}

export class FollowerNodeUnderTest {
  private constructor(
    readonly core: NodeCore,
    private readonly server: ReturnType<typeof createGrpcServer>,
    readonly client: ReturnType<typeof createGrpcClient>,
  ) {}

  static async start(
    id: number,
    ports: readonly number[],
    leader: LeaderCluster | undefined,
    fatal: unknown[],
  ): Promise<FollowerNodeUnderTest> {
    const address = `127.0.0.1:${ports[id - 1] ?? 0}`;
    const members = ports.map((port, at) => `${at + 1}=127.0.0.1:${port}`).join(',');
    const role = leader ? ['follower', '--replication.leader-address=http://127.0.0.1:1'] : [];
    const argv = [
      ...role,
      `--raft.address=${address}`,
      `--raft.initial-members=${members}`,
      '--raft.rtt=10ms',
      '--tables.replicas=1',
    ];
    const inputs = { argv, environment: {}, cwd: '/', directories: [] };
    const outcome = loadConfig(kvNodeSchema('0.0.0'), inputs);
    if (outcome.kind !== 'loaded') throw new Error(`refused: ${JSON.stringify(outcome)}`);
    const log = await openLogStore('/log', { files: new SimulatedFiles() });
    const core = new NodeCore({
      config: outcome.loaded.config,
      own: { identity: `00${id}`, joined: false },
      storage: { log, engine: new SimulatedEngine(), engineIsDurable: true },
      clock: SYSTEM_CLOCK,
      transport: grpcTransport('native'),
      logger: SILENT,
      onFatal: (error) => fatal.push(error),
      onStranger: (reason) => fatal.push(reason),
      leader,
    });
    const server = createGrpcServer('native', { logger: quiet });
    core.cluster.register(server);
    core.cluster.shadowApi.register(server);
    core.cluster.purposeApi.register(server);
    const { url } = await server.listen('http://127.0.0.1:0');
    await core.connect();
    return new FollowerNodeUnderTest(core, server, createGrpcClient(url));
  }

  async call<Q, A>(
    path: string,
    [request, response]: readonly [
      { encode(message: Q): { finish(): Uint8Array } },
      { decode(bytes: Uint8Array): A },
    ],
    message: NoInfer<Q>,
    options: CallOptions = {},
  ): Promise<A> {
    return response.decode(
      await this.client.unary(path, request.encode(message).finish(), options),
    );
  }

  put(key: string, options: CallOptions = {}): Promise<regattaV1.PutResponse> {
    const [table, value] = [Buffer.from('t'), Buffer.from('v')];
    const fields = { table, key: Buffer.from(key), value, prevKv: false };
    const codecs = [regattaV1.PutRequest, regattaV1.PutResponse] as const;
    return this.call('/regatta.v1.KV/Put', codecs, fields, options);
  }

  /** The value of a key; undefined if there is none. */
  async get(key: string, options: CallOptions = {}): Promise<string | undefined> {
    const fields = { table: Buffer.from('t'), key: Buffer.from(key) };
    const request = regattaV1.RangeRequest.fromPartial(fields);
    const codecs = [regattaV1.RangeRequest, regattaV1.RangeResponse] as const;
    const { kvs } = await this.call('/regatta.v1.KV/Range', codecs, request, options);
    return kvs[0]?.value.toString();
  }

  createCopy(
    table = 't',
    epoch = EPOCH,
    leaderTable = LEADER_TABLE,
  ): Promise<applyV1.CreateReplicaResponse> {
    const codecs = [applyV1.CreateReplicaRequest, applyV1.CreateReplicaResponse] as const;
    const source = { tableId: BigInt(leaderTable), epoch: BigInt(epoch) };
    return this.call(`/${REPLICA_APPLY_SERVICE}/CreateReplica`, codecs, { table, source });
  }

  apply(
    tableId: bigint,
    commands: Buffer[],
    fields: { token?: number; epoch?: number; lastCheck?: bigint } = {},
  ): Promise<applyV1.ApplyReplicatedResponse> {
    const { token = 1, epoch = EPOCH, lastCheck } = fields;
    const codecs = [applyV1.ApplyReplicatedRequest, applyV1.ApplyReplicatedResponse] as const;
    const of = { table: 't', tableId, epoch: BigInt(epoch), token: BigInt(token) };
    const request = { ...of, commands, lastCheck };
    return this.call(`/${REPLICA_APPLY_SERVICE}/Apply`, codecs, request);
  }

  /** The tokens of the leases that a new session of the holder gets. */
  async take(holder: string, tableIds: bigint[], ttlMs = 60_000n): Promise<bigint[]> {
    const { leases } = this.follower;
    const { token: session } = await leases.hold({ holder, ttlMs, token: 0n });
    return (await leases.take({ holder, session, tableIds })).tokens;
  }

  get follower() {
    const { follower } = this.core.cluster;
    if (!follower) throw new Error('the node is no follower');
    return follower;
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.server.close({ graceMs: 0 });
    await this.core.cluster.stop();
    await this.core.stop();
    await this.core.peers.close(0);
  }
}

export class FollowerClusterUnderTest {
  readonly fatal: unknown[] = [];
  /** Requests that the leader cluster was sent. */
  readonly sent: { readonly path: string; readonly deadlineMs: number }[] = [];
  script: LeaderScript = () => Promise.reject(new Error('no write was expected'));
  nodes: FollowerNodeUnderTest[] = [];

  /** With `leaders` the last so many nodes were started with the command leader. */
  static async start(size: number, leaders = 0): Promise<FollowerClusterUnderTest> {
    const cluster = new FollowerClusterUnderTest();
    const ports: number[] = [];
    for (let at = 0; at < size; at++) ports.push(await freePort());
    const starts = ports.map((_, at) => {
      const leader = at < size - leaders ? cluster.leader() : undefined;
      return FollowerNodeUnderTest.start(at + 1, ports, leader, cluster.fatal);
    });
    cluster.nodes = await Promise.all(starts);
    await Promise.all(cluster.nodes.map(({ core }) => core.cluster.join(JOIN_MS)));
    return cluster;
  }

  get first(): FollowerNodeUnderTest {
    const [first] = this.nodes;
    if (!first) throw new Error('there are no nodes');
    return first;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  private leader(): LeaderCluster {
    return {
      unary: (path, request, { deadlineMs }) => {
        this.sent.push({ path, deadlineMs });
        return this.script(path, request, this.sent.length);
      },
      close: () => undefined,
    };
  }
}
