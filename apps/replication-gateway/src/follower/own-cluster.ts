/**
 * The cluster that the copies are in, over gRPC (`flotilla.replication.v1.ReplicaApply`).
 *
 * In: the ways to its nodes. Out: the port that pullers write by. A batch is sent to another node
 * only if it certainly was not executed, else its sender is left in doubt and has to ask.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { applyV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type NodePool } from '../nodes/node-pool.js';
import { type CallRules, type Codec, known, NodeCalls } from './node-calls.js';
import {
  type Applied,
  type ApplyOutcome,
  type Batch,
  type Copy,
  type CopyList,
  type CopySource,
  type CreateOutcome,
  type DeleteOutcome,
  type HeldLease,
  type HeldSession,
  type Lease,
  type OwnCluster,
  type PositionReport,
  type SessionName,
  type SessionWish,
} from './ports.js';
import { reportOnWire } from './report-on-wire.js';

/** The whole call, and one node's part of it where others may be asked. */
const CALL_MS = 5_000;
const ATTEMPT_MS = 1_500;
/** A table is created, or deleted, once all living nodes have followed. */
const TABLE_CALL_MS = 10_000;
/** A batch waits for the log of the copy, which may have no leader for a moment. */
const APPLY_MS = 10_000;

const SERVICE = '/flotilla.replication.v1.ReplicaApply';
const CREATED: readonly CreateOutcome[] = ['created', 'exists', 'other-source', 'local'];
const DELETED: readonly DeleteOutcome[] = ['deleted', 'missing', 'other'];
const APPLIED: readonly ApplyOutcome[] = ['applied', 'other-epoch', 'old-token'];

const REPEATABLE = { deadlineMs: CALL_MS, attemptMs: ATTEMPT_MS, isRepeatable: true };
/** A session is over before long: a node that does not answer must not cost it. */
const OF_SESSIONS = { deadlineMs: 2_500, attemptMs: 1_000, isRepeatable: true };
const OF_TABLES = { deadlineMs: TABLE_CALL_MS, attemptMs: TABLE_CALL_MS, isRepeatable: true };
const OF_BATCHES = { deadlineMs: APPLY_MS, attemptMs: APPLY_MS, isRepeatable: false };

export class OwnClusterClient implements OwnCluster {
  private readonly calls: NodeCalls;

  constructor(pool: NodePool, clock: Pick<GatewayClock, 'nowMs'>) {
    this.calls = new NodeCalls(pool, clock);
  }

  async list(): Promise<CopyList> {
    const codecs = [applyV1.ListReplicasRequest, applyV1.ListReplicasResponse] as const;
    const answer = await this.call('ListReplicas', codecs, {}, REPEATABLE);
    const copies = answer.replicas.map(({ table, tableId, source, lease, renewalWanted }) => ({
      table,
      id: Number(tableId),
      source: { tableId: Number(source?.tableId ?? 0n), epoch: Number(source?.epoch ?? 0n) },
      lease: lease && toLease(lease),
      ...(renewalWanted && { renewalWanted: true as const }),
    }));
    return { copies, localTables: answer.localTables, version: Number(answer.version) };
  }

  async create(table: string, source: CopySource): Promise<{ outcome: CreateOutcome; id: number }> {
    const codecs = [applyV1.CreateReplicaRequest, applyV1.CreateReplicaResponse] as const;
    const request = { table, source: onWire(source) };
    const answer = await this.call('CreateReplica', codecs, request, OF_TABLES);
    return { outcome: known(CREATED, answer.outcome), id: Number(answer.tableId) };
  }

  async delete(table: string, source: CopySource): Promise<DeleteOutcome> {
    const codecs = [applyV1.DeleteReplicaRequest, applyV1.DeleteReplicaResponse] as const;
    const request = { table, source: onWire(source) };
    const { outcome } = await this.call('DeleteReplica', codecs, request, OF_TABLES);
    return known(DELETED, outcome);
  }

  async holdSession({ holder, token, ttlMs }: SessionWish): Promise<HeldSession | undefined> {
    const codecs = [applyV1.HoldSessionRequest, applyV1.HoldSessionResponse] as const;
    const request = { holder, token: BigInt(token), ttlMs: BigInt(ttlMs) };
    const answer = await this.call('HoldSession', codecs, request, OF_SESSIONS);
    if (!answer.held) return undefined;
    const gateways = answer.sessions.map(({ holder: name, remainingMs }) => ({
      holder: name,
      remainingMs: Number(remainingMs),
    }));
    return { token: Number(answer.token), gateways, version: Number(answer.version) };
  }

  async endSession({ holder, token }: SessionName): Promise<void> {
    const codecs = [applyV1.EndSessionRequest, applyV1.EndSessionResponse] as const;
    await this.call('EndSession', codecs, { holder, token: BigInt(token) }, OF_SESSIONS);
  }

  async takeLeases(
    { holder, token }: SessionName,
    copies: readonly Copy[],
  ): Promise<readonly number[] | undefined> {
    const codecs = [applyV1.TakeLeasesRequest, applyV1.TakeLeasesResponse] as const;
    const tableIds = copies.map(({ id }) => BigInt(id));
    const request = { holder, session: BigInt(token), tableIds };
    const { held, tokens } = await this.call('TakeLeases', codecs, request, REPEATABLE);
    if (!held) return undefined;
    if (tokens.length === copies.length) return tokens.map(Number);
    const text = `${tokens.length} tokens for ${copies.length} tables`;
    throw new GrpcStatusError(status.INTERNAL, text);
  }

  async giveBackLeases(holder: string, leases: readonly HeldLease[]): Promise<void> {
    const codecs = [applyV1.GiveBackLeasesRequest, applyV1.GiveBackLeasesResponse] as const;
    const given = leases.map(({ copy, token }) => ({
      tableId: BigInt(copy.id),
      token: BigInt(token),
    }));
    await this.call('GiveBackLeases', codecs, { holder, leases: given }, REPEATABLE);
  }

  async apply(batch: Batch, signal: AbortSignal): Promise<Applied> {
    const codecs = [applyV1.ApplyReplicatedRequest, applyV1.ApplyReplicatedResponse] as const;
    const { copy, token, commands, lastCheck } = batch;
    const request = {
      table: copy.table,
      tableId: BigInt(copy.id),
      epoch: BigInt(copy.source.epoch),
      token: BigInt(token),
      commands: [...commands],
      lastCheck,
    };
    const rules = { ...OF_BATCHES, signal };
    const { outcome, ...place } = await this.call('Apply', codecs, request, rules);
    const { leaderIndex, leaderCheck } = place;
    return { outcome: known(APPLIED, outcome), leaderIndex: Number(leaderIndex), leaderCheck };
  }

  async report(report: PositionReport): Promise<boolean> {
    const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
    const request = reportOnWire(report);
    return (await this.call('ReportPositions', codecs, request, REPEATABLE)).needsAll;
  }

  private call<Q, A>(
    method: string,
    codecs: readonly [Codec<Q>, Codec<A>],
    message: NoInfer<Q>,
    rules: CallRules,
  ): Promise<A> {
    return this.calls.call(`${SERVICE}/${method}`, codecs, message, rules);
  }
}

export function onWire({ tableId, epoch }: CopySource): applyV1.ReplicaSource {
  return { tableId: BigInt(tableId), epoch: BigInt(epoch) };
}

function toLease({ holder, token, remainingMs }: applyV1.ReplicaLease): Lease {
  return { holder, token: Number(token), remainingMs: Number(remainingMs) };
}
