/**
 * What pullers want of a follower cluster, done (`flotilla.replication.v1.ReplicaApply`).
 *
 *   copies     created and deleted through the catalog; a table of the cluster's own is left alone
 *   leases     taken, held on to and given back (`catalog/leases.ts`)
 *   batches    checked, fenced, proposed at the replica that leads; refused ones change nothing
 *   positions  of the leader cluster, told to every node for its readers
 *
 * In: decoded requests, at any node. Out: answers, or GrpcStatusError. Whether a batch may still be
 * applied is decided when it is applied, by what stands in the table; what is looked at before only
 * spares the log an entry.
 */
import { GrpcStatusError, status, type CallContext } from '@flotilla/grpc';
import { type FenceRefusal, type FenceState } from '@flotilla/mvcc';
import { applyV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { CLUSTER_KEY, encodeCluster, type TableSource } from '../catalog/catalog-rows.js';
import { type ClusterInfo, type TableInfo } from '../catalog/catalog-state.js';
import { Leases, type LeaseWish } from '../catalog/leases.js';
import { invalid, tableNotFound, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';
import { type Answer, type TableRouter } from '../routing/table-router.js';
import { isSameSource, type TableAdmin } from '../tables/table-admin.js';
import { whyNameInvalid } from '../tables/table-name.js';
import { type LagBoard, type LeaderPosition } from './lag-board.js';
import { type PullerBoard, toPullerReport } from './puller-board.js';
import { batchCommand } from './replicated-batch.js';

/** Passed on between nodes: a batch to the replica that leads, positions to everybody. */
export const APPLY_BATCH = 'ApplyReplicated';
export const REPORT_POSITIONS = 'ReportPositions';

export const LEASE_TTL_MIN_MS = 100;
export const LEASE_TTL_MAX_MS = 5 * 60_000;
export const HOLDER_BYTES_MAX = 255;

export const CLUSTER_ID_BYTES_MAX = 255;
const RAISE_ATTEMPTS_MAX = 8;

const CREATED = applyV1.CreateReplicaResponse_Outcome;
const DELETED = applyV1.DeleteReplicaResponse_Outcome;
const APPLIED = applyV1.ApplyReplicatedResponse_Outcome;

/** Gives bytes to the other nodes that live; who does not get them hears of the next ones. */
export type TellNodes = (method: string, request: Uint8Array, deadlineMs: number) => Promise<void>;

export interface ReplicaApplyParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly router: TableRouter;
  readonly admin: TableAdmin;
  readonly lags: LagBoard;
  readonly pullers: PullerBoard;
  readonly tellNodes: TellNodes;
}

export class ReplicaApply {
  private readonly leases: Leases;

  constructor(private readonly parts: ReplicaApplyParts) {
    this.leases = new Leases(parts.catalog, parts.runtime.clock);
  }

  list(): applyV1.ListReplicasResponse {
    const tables = [...this.parts.catalog.state.tables.values()];
    tables.sort((a, b) => (a.name < b.name ? -1 : 1));
    const replicas = tables.flatMap(({ id, name, source }) =>
      source
        ? [{ table: name, tableId: BigInt(id), source: onWire(source), lease: this.leaseOf(id) }]
        : [],
    );
    const localTables = tables.flatMap(({ name, source }) => (source ? [] : [name]));
    const { generation, leaderClusterId, promoted } = this.parts.catalog.state.cluster;
    const followed = generation > 0 && { generation: BigInt(generation), leaderClusterId };
    return { replicas, localTables, ...followed, ...(promoted && { promoted }) };
  }

  async create(request: applyV1.CreateReplicaRequest): Promise<applyV1.CreateReplicaResponse> {
    this.refusePromoted();
    const reason = whyNameInvalid(request.table);
    if (reason) throw invalid(reason.replace(/^name/, 'table'));
    const wanted = sourceOf(request.source);
    const outcome = await withStatus(this.parts.admin.create(request.table, wanted));
    switch (outcome.kind) {
      case 'created':
        return answer(CREATED.CREATED, outcome.id, wanted);
      case 'exists': {
        const { id = 0, source } = outcome.table ?? {};
        if (!source) return answer(CREATED.LOCAL, id, undefined);
        const isSame = isSameSource(wanted, source);
        return answer(isSame ? CREATED.EXISTS : CREATED.OTHER_SOURCE, id, source);
      }
      default:
        throw new GrpcStatusError(status.UNAVAILABLE, `not created: ${outcome.kind}, try again`);
    }
  }

  async delete(request: applyV1.DeleteReplicaRequest): Promise<applyV1.DeleteReplicaResponse> {
    this.refusePromoted();
    if (request.table === '') throw invalid('table must be set');
    const source = sourceOf(request.source);
    const { kind } = await withStatus(this.parts.admin.delete(request.table, source));
    switch (kind) {
      case 'deleted':
        return { outcome: DELETED.DELETED };
      case 'missing':
        return { outcome: DELETED.MISSING };
      case 'other-source':
        return { outcome: DELETED.OTHER };
      case 'contended':
        throw new GrpcStatusError(status.UNAVAILABLE, 'tables change too fast, try again later');
    }
  }

  async acquire(request: applyV1.AcquireLeaseRequest): Promise<applyV1.AcquireLeaseResponse> {
    this.refusePromoted();
    const ttlMs = Number(request.ttlMs);
    if (ttlMs < LEASE_TTL_MIN_MS || ttlMs > LEASE_TTL_MAX_MS) {
      throw invalid(`ttl_ms must be from ${LEASE_TTL_MIN_MS} to ${LEASE_TTL_MAX_MS}`);
    }
    const wish: LeaseWish = { ...this.wishOf(request), ttlMs };
    const outcome = await withStatus(this.leases.acquire(wish, this.deadline()));
    return { acquired: outcome.isHeld, lease: this.leaseOf(wish.tableId, outcome.lease) };
  }

  async release(request: applyV1.ReleaseLeaseRequest): Promise<applyV1.ReleaseLeaseResponse> {
    const wish = this.wishOf(request);
    return { released: await withStatus(this.leases.release(wish, this.deadline())) };
  }

  /** `bytes` is the request as it came, to be passed on to the replica that leads. */
  async apply(bytes: Buffer, { deadline }: CallContext, hops: number): Promise<Answer> {
    const { runtime, router } = this.parts;
    this.refusePromoted();
    const request = applyV1.ApplyReplicatedRequest.decode(bytes);
    const info = this.copyOf(request.table, Number(request.tableId));
    if (BigInt(info.source?.epoch ?? -1) !== request.epoch) {
      return applied(APPLIED.OTHER_EPOCH, 0);
    }
    const command = batchCommand(request);
    const leftMs = deadline === undefined ? Infinity : deadline - runtime.clock.wallMs();
    const deadlineMs = runtime.deadline(Math.min(leftMs, OPERATION_TIMEOUT_MS));
    const table = Buffer.from(request.table);
    const call = { table, method: APPLY_BATCH, request: bytes, hops, deadlineMs };
    return router.write(call, async ({ id, group, machine }) => {
      if (id !== info.id) throw tableNotFound();
      const early = refusalBefore(machine.state.fence, request);
      if (early) return applied(OUTCOMES[early], machine.state.leaderIndex);
      const { result } = await group.propose(command, deadlineMs);
      const outcome = result.refused ? OUTCOMES[result.refused] : APPLIED.APPLIED;
      return applied(outcome, machine.state.leaderIndex);
    });
  }

  /** It never gets lower; whose a generation is, is whoever told it first. */
  async raise(request: applyV1.RaiseGenerationRequest): Promise<applyV1.RaiseGenerationResponse> {
    const generation = Number(request.generation);
    const { leaderClusterId } = request;
    if (!Number.isSafeInteger(generation) || generation < 1) {
      throw invalid('generation must be 1 or larger');
    }
    if (leaderClusterId === '' || Buffer.byteLength(leaderClusterId) > CLUSTER_ID_BYTES_MAX) {
      throw invalid(`leader_cluster_id must have from 1 to ${CLUSTER_ID_BYTES_MAX} bytes`);
    }
    const { catalog } = this.parts;
    const deadlineMs = this.deadline();
    for (let attempt = 0; attempt < RAISE_ATTEMPTS_MAX; attempt++) {
      this.refusePromoted();
      const { cluster } = catalog.state;
      if (cluster.generation >= generation) return followed(cluster);
      const row = { generation: BigInt(generation), leaderClusterId, promoted: false };
      const value = encodeCluster(row);
      await withStatus(catalog.replace(CLUSTER_KEY, cluster.stored, value, deadlineMs));
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'the generation changes too fast, try again');
  }

  async report(bytes: Buffer): Promise<void> {
    this.refusePromoted();
    this.reportHere(bytes);
    await this.parts.tellNodes(REPORT_POSITIONS, bytes, this.deadline());
  }

  /** What another node was told. */
  reportHere(bytes: Buffer): void {
    const { positions } = applyV1.ReportPositionsRequest.decode(bytes);
    const pullers = positions.flatMap(({ tableId, puller }) =>
      puller ? [[Number(tableId), toPullerReport(puller)] as const] : [],
    );
    this.parts.lags.report(
      positions.filter(({ leaderClockMs }) => leaderClockMs > 0n).map(toPosition),
    );
    for (const [tableId, puller] of pullers) this.parts.pullers.report(tableId, puller);
  }

  /** Nothing of a leader cluster is written into one that has become one itself. */
  private refusePromoted(): void {
    if (this.parts.catalog.state.cluster.promoted) throw promoted();
  }

  /** Who holds the lease of a table; empty if nobody does. */
  holderOf(tableId: number): string {
    const lease = this.leases.get(tableId);
    return lease && this.leases.remainingMs(lease) > 0 ? lease.holder : '';
  }

  private wishOf({
    table,
    tableId,
    holder,
    token,
  }: applyV1.ReleaseLeaseRequest): Omit<LeaseWish, 'ttlMs'> {
    if (holder === '') throw invalid('holder must be set');
    if (Buffer.byteLength(holder) > HOLDER_BYTES_MAX) {
      throw invalid(`holder must be at most ${HOLDER_BYTES_MAX} bytes long`);
    }
    const { id } = this.copyOf(table, Number(tableId));
    return { tableId: id, holder, token: Number(token) };
  }

  /** The table, if it is a copy and still the one that is meant. */
  private copyOf(name: string, id: number): TableInfo {
    const info = this.parts.catalog.state.tables.get(name);
    if (info?.id !== id) throw tableNotFound();
    if (info.source) return info;
    const text = 'the table is no copy of a table of the leader cluster';
    throw new GrpcStatusError(status.FAILED_PRECONDITION, text);
  }

  private leaseOf(id: number, lease = this.leases.get(id)): applyV1.ReplicaLease | undefined {
    if (!lease) return undefined;
    const remainingMs = BigInt(Math.ceil(this.leases.remainingMs(lease)));
    return { holder: lease.holder, token: BigInt(lease.token), remainingMs };
  }

  private deadline(): number {
    return this.parts.runtime.deadline(OPERATION_TIMEOUT_MS);
  }
}

function followed({ generation, leaderClusterId }: ClusterInfo): applyV1.RaiseGenerationResponse {
  return { generation: BigInt(generation), leaderClusterId };
}

const OUTCOMES = {
  epoch: APPLIED.OTHER_EPOCH,
  token: APPLIED.OLD_TOKEN,
} as const satisfies Record<FenceRefusal, applyV1.ApplyReplicatedResponse_Outcome>;

/** What the table already knows to be of before. */
function refusalBefore(
  fence: FenceState | undefined,
  { epoch, token }: applyV1.ApplyReplicatedRequest,
): FenceRefusal | undefined {
  if (!fence) return undefined;
  if (BigInt(fence.epoch) !== epoch) return 'epoch';
  return token < BigInt(fence.token) ? 'token' : undefined;
}

function applied(outcome: applyV1.ApplyReplicatedResponse_Outcome, leaderIndex: number): Answer {
  const response = { outcome, leaderIndex: BigInt(leaderIndex) };
  return { answer: applyV1.ApplyReplicatedResponse.encode(response).finish(), index: 0 };
}

function answer(
  outcome: applyV1.CreateReplicaResponse_Outcome,
  id: number,
  source: TableSource | undefined,
): applyV1.CreateReplicaResponse {
  return { outcome, tableId: BigInt(id), source: source && onWire(source) };
}

function onWire({ tableId, epoch }: TableSource): applyV1.ReplicaSource {
  return { tableId: BigInt(tableId), epoch: BigInt(epoch) };
}

function sourceOf(source: applyV1.ReplicaSource | undefined): TableSource {
  if (!source) throw invalid('source must be set');
  const [tableId, epoch] = [Number(source.tableId), Number(source.epoch)];
  if (Number.isSafeInteger(tableId) && Number.isSafeInteger(epoch)) return { tableId, epoch };
  throw invalid('source is out of range');
}

function toPosition(position: applyV1.ReplicaPosition): LeaderPosition {
  const { tableId, leaderIndex, leaderClockMs } = position;
  return {
    tableId: Number(tableId),
    revision: Number(leaderIndex),
    clockMs: Number(leaderClockMs),
  };
}
