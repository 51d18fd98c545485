/**
 * The cluster that the copies are in, over gRPC (`flotilla.replication.v1.ReplicaApply`).
 *
 * In: the ways to its nodes. Out: the port that pullers write by. A batch is sent to another node
 * only if it certainly was not executed, else its sender is left in doubt and has to ask.
 */
import { applyV1 } from '@flotilla/proto';
import { type GatewayClock } from '../gateway-clock.js';
import { type NodePool } from '../nodes/node-pool.js';
import { type CallRules, type Codec, known, NodeCalls } from './node-calls.js';
import {
  type Applied,
  type ApplyOutcome,
  type Batch,
  type CopyList,
  type CopySource,
  type CreateOutcome,
  type DeleteOutcome,
  type Lease,
  type LeaseHold,
  type OwnCluster,
  type Position,
} from './ports.js';
import { positionOnWire } from './position-reporter.js';

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
const OF_TABLES = { deadlineMs: TABLE_CALL_MS, attemptMs: TABLE_CALL_MS, isRepeatable: true };
const OF_BATCHES = { deadlineMs: APPLY_MS, attemptMs: APPLY_MS, isRepeatable: false };

export class OwnClusterClient implements OwnCluster {
  private readonly calls: NodeCalls;

  constructor(pool: NodePool, clock: Pick<GatewayClock, 'nowMs'>) {
    this.calls = new NodeCalls(pool, clock);
  }

  async list(): Promise<CopyList> {
    const codecs = [applyV1.ListReplicasRequest, applyV1.ListReplicasResponse] as const;
    const { replicas, localTables } = await this.call('ListReplicas', codecs, {}, REPEATABLE);
    const copies = replicas.map(({ table, tableId, source, lease }) => ({
      table,
      id: Number(tableId),
      source: { tableId: Number(source?.tableId ?? 0n), epoch: Number(source?.epoch ?? 0n) },
      lease: lease && toLease(lease),
    }));
    return { copies, localTables };
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

  async acquire(hold: LeaseHold, ttlMs: number): Promise<Lease | undefined> {
    const codecs = [applyV1.AcquireLeaseRequest, applyV1.AcquireLeaseResponse] as const;
    const request = { ...holdOnWire(hold), ttlMs: BigInt(ttlMs) };
    const { acquired, lease } = await this.call('AcquireLease', codecs, request, REPEATABLE);
    return acquired && lease ? toLease(lease) : undefined;
  }

  async release(hold: LeaseHold): Promise<void> {
    const codecs = [applyV1.ReleaseLeaseRequest, applyV1.ReleaseLeaseResponse] as const;
    await this.call('ReleaseLease', codecs, holdOnWire(hold), REPEATABLE);
  }

  async apply({ copy, token, commands }: Batch, signal: AbortSignal): Promise<Applied> {
    const codecs = [applyV1.ApplyReplicatedRequest, applyV1.ApplyReplicatedResponse] as const;
    const request = {
      table: copy.table,
      tableId: BigInt(copy.id),
      epoch: BigInt(copy.source.epoch),
      token: BigInt(token),
      commands: [...commands],
    };
    const rules = { ...OF_BATCHES, signal };
    const { outcome, leaderIndex } = await this.call('Apply', codecs, request, rules);
    return { outcome: known(APPLIED, outcome), leaderIndex: Number(leaderIndex) };
  }

  async report(positions: readonly Position[]): Promise<void> {
    const codecs = [applyV1.ReportPositionsRequest, applyV1.ReportPositionsResponse] as const;
    const request = { positions: positions.map(positionOnWire) };
    await this.call('ReportPositions', codecs, request, REPEATABLE);
  }

  private call<Q, A>(
    method: string,
    codecs: readonly [Codec<Q>, Codec<A>],
    message: Q,
    rules: CallRules,
  ): Promise<A> {
    return this.calls.call(`${SERVICE}/${method}`, codecs, message, rules);
  }
}

export function onWire({ tableId, epoch }: CopySource): applyV1.ReplicaSource {
  return { tableId: BigInt(tableId), epoch: BigInt(epoch) };
}

function holdOnWire({ copy, holder, token }: LeaseHold): applyV1.ReleaseLeaseRequest {
  return { table: copy.table, tableId: BigInt(copy.id), holder, token: BigInt(token) };
}

function toLease({ holder, token, remainingMs }: applyV1.ReplicaLease): Lease {
  return { holder, token: Number(token), remainingMs: Number(remainingMs) };
}
