/**
 * What pullers want of a follower cluster, done (`flotilla.replication.v1.ReplicaApply`).
 *
 *   copies     created, deleted and wanted anew through the catalog; a table of the cluster's own is left alone
 *   leases     of sessions, taken and given back (`replica-leases.ts`)
 *   batches    checked, fenced, proposed at the replica that leads; refused ones change nothing
 *   positions  of the leader cluster, told to every node for its readers
 *
 * In: decoded requests, at any node. Out: answers, or GrpcStatusError. Whether a batch may still be
 * applied is decided when it is applied, by what stands in the table; what is looked at before only
 * spares the log an entry.
 */
import { GrpcStatusError, status, type CallContext } from '@flotilla/grpc';
import { type FenceRefusal, type FenceState, type TableState } from '@flotilla/mvcc';
import { applyV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { CLUSTER_KEY, encodeCluster, type TableSource } from '../catalog/catalog-rows.js';
import { type ClusterInfo, type TableInfo } from '../catalog/catalog-state.js';
import { invalid, tableNotFound, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';
import { type Answer, type TableRouter } from '../routing/table-router.js';
import { isSameSource, type TableAdmin } from '../tables/table-admin.js';
import { whyNameInvalid } from '../tables/table-name.js';
import { type GatewayView, type GatewayViews } from './gateway-views.js';
import { type LagBoard, type LeaderPosition } from './lag-board.js';
import { GATEWAY_BYTES_MAX, type PullerBoard, toPullerReport } from './puller-board.js';
import { type RenewalOutcome, type Renewals } from './renewals.js';
import { type ReplicaLeases } from './replica-leases.js';
import { batchCommand } from './replicated-batch.js';

/** Passed on between nodes: a batch to the replica that leads, positions to everybody. */
export const APPLY_BATCH = 'ApplyReplicated';
export const REPORT_POSITIONS = 'ReportPositions';

export const CLUSTER_ID_BYTES_MAX = 255;
const RAISE_ATTEMPTS_MAX = 8;

const CREATED = applyV1.CreateReplicaResponse_Outcome;
const DELETED = applyV1.DeleteReplicaResponse_Outcome;
const APPLIED = applyV1.ApplyReplicatedResponse_Outcome;

/** Gives bytes to the other nodes that live; answers of those that got them. */
export type TellNodes = (
  method: string,
  request: Uint8Array,
  deadlineMs: number,
) => Promise<readonly Uint8Array[]>;

export interface ReplicaApplyParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly router: TableRouter;
  readonly admin: TableAdmin;
  readonly lags: LagBoard;
  readonly pullers: PullerBoard;
  readonly renewals: Renewals;
  readonly views: GatewayViews;
  readonly leases: ReplicaLeases;
  readonly tellNodes: TellNodes;
}

export class ReplicaApply {
  constructor(private readonly parts: ReplicaApplyParts) {}

  list(): applyV1.ListReplicasResponse {
    const { catalog, leases } = this.parts;
    const tables = [...catalog.state.tables.values()];
    tables.sort((a, b) => (a.name < b.name ? -1 : 1));
    const replicas = tables.flatMap(({ id, name, source, renewalWanted }) => {
      if (!source) return [];
      const copy = { table: name, tableId: BigInt(id), source: onWire(source) };
      return [{ ...copy, lease: leases.leaseOf(id), ...(renewalWanted && { renewalWanted }) }];
    });
    const localTables = tables.flatMap(({ name, source }) => (source ? [] : [name]));
    const { generation, leaderClusterId, promoted } = catalog.state.cluster;
    const followed = generation > 0 && { generation: BigInt(generation), leaderClusterId };
    const version = BigInt(catalog.replicasVersion);
    return { replicas, localTables, version, ...followed, ...(promoted && { promoted }) };
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

  async renew(request: applyV1.RenewReplicaRequest): Promise<applyV1.RenewReplicaResponse> {
    if (request.table === '') throw invalid('table must be set');
    const outcome = await this.parts.renewals.want(request.table, sourceOf(request.source));
    return { outcome: RENEWALS[outcome] };
  }

  /** `bytes` is the request as it came, to be passed on to the replica that leads. */
  async apply(bytes: Buffer, { deadline }: CallContext, hops: number): Promise<Answer> {
    const { runtime, router } = this.parts;
    this.refusePromoted();
    const request = applyV1.ApplyReplicatedRequest.decode(bytes);
    const info = this.copyOf(request.table, Number(request.tableId));
    if (BigInt(info.source?.epoch ?? -1) !== request.epoch) {
      return applied(APPLIED.OTHER_EPOCH, NOWHERE);
    }
    const command = batchCommand(request);
    const leftMs = deadline === undefined ? Infinity : deadline - runtime.clock.wallMs();
    const deadlineMs = runtime.deadline(Math.min(leftMs, OPERATION_TIMEOUT_MS));
    const table = Buffer.from(request.table);
    const call = { table, method: APPLY_BATCH, request: bytes, hops, deadlineMs };
    return router.write(call, async ({ id, group, machine }) => {
      if (id !== info.id) throw tableNotFound();
      const early = refusalBefore(machine.state.fence, request);
      if (early) return applied(OUTCOMES[early], machine.state);
      const { result } = await group.propose(command, deadlineMs);
      const outcome = result.refused ? OUTCOMES[result.refused] : APPLIED.APPLIED;
      return applied(outcome, machine.state);
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

  /** Told to every node; each of them says whether it has missed something before. */
  async report(bytes: Buffer): Promise<applyV1.ReportPositionsResponse> {
    this.refusePromoted();
    const here = this.reportHere(bytes);
    const others = await this.parts.tellNodes(REPORT_POSITIONS, bytes, this.deadline());
    const told = others.map((answer) => applyV1.ReportPositionsResponse.decode(answer));
    return { needsAll: here.needsAll || told.some(({ needsAll }) => needsAll) };
  }

  /** What this node, or another one, was told. */
  reportHere(bytes: Buffer): applyV1.ReportPositionsResponse {
    const report = applyV1.ReportPositionsRequest.decode(bytes);
    const { gateway, positions } = report;
    checkReport(report);
    const pullers = positions.flatMap(({ tableId, puller }) =>
      puller ? [[Number(tableId), toPullerReport(puller)] as const] : [],
    );
    const { views, lags, pullers: board } = this.parts;
    const view = views.take({ gateway, sequence: Number(report.sequence), isAll: report.all });
    const heard = positions.filter(({ leaderClockMs }) => leaderClockMs > 0n);
    lags.report(heard.map((one) => toPosition(one, one.stands ? view : undefined)));
    for (const [tableId, puller] of pullers) board.report(tableId, puller, view);
    for (const tableId of report.moved) lags.moved(Number(tableId));
    for (const tableId of report.left) {
      board.left(Number(tableId), gateway);
      if (view) lags.left(Number(tableId), view);
    }
    if (view) views.advance(gateway, Number(report.leaderClockMs));
    return { needsAll: gateway !== '' && !view };
  }

  /** Nothing of a leader cluster is written into one that has become one itself. */
  private refusePromoted(): void {
    if (this.parts.catalog.state.cluster.promoted) throw promoted();
  }

  /** The table, if it is a copy and still the one that is meant. */
  private copyOf(name: string, id: number): TableInfo {
    const info = this.parts.catalog.state.tables.get(name);
    if (info?.id !== id) throw tableNotFound();
    if (info.source) return info;
    const text = 'the table is no copy of a table of the leader cluster';
    throw new GrpcStatusError(status.FAILED_PRECONDITION, text);
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

const RENEWALS = {
  wanted: applyV1.RenewReplicaResponse_Outcome.WANTED,
  missing: applyV1.RenewReplicaResponse_Outcome.MISSING,
  other: applyV1.RenewReplicaResponse_Outcome.OTHER,
} as const satisfies Record<RenewalOutcome, applyV1.RenewReplicaResponse_Outcome>;

/** What the table already knows to be of before. */
function refusalBefore(
  fence: FenceState | undefined,
  { epoch, token }: applyV1.ApplyReplicatedRequest,
): FenceRefusal | undefined {
  if (!fence) return undefined;
  if (BigInt(fence.epoch) !== epoch) return 'epoch';
  return token < BigInt(fence.token) ? 'token' : undefined;
}

const NOWHERE = { leaderIndex: 0 };

function applied(
  outcome: applyV1.ApplyReplicatedResponse_Outcome,
  { leaderIndex, leaderCheck }: Pick<TableState, 'leaderIndex' | 'leaderCheck'>,
): Answer {
  const response = { outcome, leaderIndex: BigInt(leaderIndex), leaderCheck };
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

function checkReport({ gateway, sequence }: applyV1.ReportPositionsRequest): void {
  if (Buffer.byteLength(gateway) > GATEWAY_BYTES_MAX) {
    throw invalid(`gateway must be at most ${GATEWAY_BYTES_MAX} bytes long`);
  }
  if (!Number.isSafeInteger(Number(sequence))) throw invalid('sequence is too large');
}

function toPosition(
  position: applyV1.ReplicaPosition,
  view: GatewayView | undefined,
): LeaderPosition {
  const { tableId, leaderIndex, leaderClockMs } = position;
  return {
    tableId: Number(tableId),
    revision: Number(leaderIndex),
    clockMs: Number(leaderClockMs),
    view,
  };
}
