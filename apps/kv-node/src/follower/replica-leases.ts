/**
 * Sessions and leases as pullers ask for them (`flotilla.replication.v1.ReplicaApply`).
 *
 * In: decoded requests, at any node. Out: answers, or GrpcStatusError with the name of the field. What is
 * asked for many tables is one entry of the catalog.
 */
import { applyV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { invalid, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { checkedHolder, checkedNumber, checkedTtlMs } from '../leases/lease-checks.js';
import { Sessions } from '../leases/sessions.js';
import { TableLeases } from '../leases/table-leases.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';

/** Leases in one call, which is one entry of the catalog: it must not hold a node's loop for long. */
export const LEASES_PER_CALL_MAX = 128;

export class ReplicaLeases {
  readonly sessions: Sessions;
  private readonly leases: TableLeases;

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
  ) {
    this.sessions = new Sessions(catalog, runtime.clock);
    this.leases = new TableLeases(catalog, this.sessions);
  }

  async hold(request: applyV1.HoldSessionRequest): Promise<applyV1.HoldSessionResponse> {
    this.refusePromoted();
    const wish = {
      holder: checkedHolder(request.holder),
      ttlMs: checkedTtlMs(request.ttlMs),
      token: checkedNumber(request.token, 'token'),
    };
    const token = await withStatus(this.sessions.hold(wish, this.deadline()));
    const sessions = this.sessions.living().map(({ holder, remainingMs }) => ({
      holder,
      remainingMs: BigInt(Math.ceil(remainingMs)),
    }));
    const version = BigInt(this.catalog.replicasVersion);
    return { held: token !== undefined, token: BigInt(token ?? 0), sessions, version };
  }

  async end({ holder, token }: applyV1.EndSessionRequest): Promise<applyV1.EndSessionResponse> {
    const [name, number] = [checkedHolder(holder), tokenOf(token, 'token')];
    return { ended: await withStatus(this.sessions.end(name, number, this.deadline())) };
  }

  async take(request: applyV1.TakeLeasesRequest): Promise<applyV1.TakeLeasesResponse> {
    this.refusePromoted();
    checkCount(request.tableIds, 'table_ids');
    const wish = {
      holder: checkedHolder(request.holder),
      session: tokenOf(request.session, 'session'),
      tableIds: request.tableIds.map((id, at) => checkedNumber(id, `table_ids[${at}]`)),
    };
    if (new Set(wish.tableIds).size < wish.tableIds.length) {
      throw invalid('table_ids must not have the same twice');
    }
    const tokens = await withStatus(this.leases.take(wish, this.deadline()));
    if (!tokens) return { held: false, tokens: [] };
    return { held: true, tokens: wish.tableIds.map((id) => BigInt(tokens.get(id) ?? 0)) };
  }

  async giveBack(request: applyV1.GiveBackLeasesRequest): Promise<applyV1.GiveBackLeasesResponse> {
    checkCount(request.leases, 'leases');
    const holder = checkedHolder(request.holder);
    const given = request.leases.map(({ tableId, token }, at) => ({
      tableId: checkedNumber(tableId, `leases[${at}].table_id`),
      token: tokenOf(token, `leases[${at}].token`),
    }));
    const released = await withStatus(this.leases.giveBack(holder, given, this.deadline()));
    return { released: BigInt(released) };
  }

  /** Who holds the lease of a table; empty if nobody does. */
  holderOf(tableId: number): string {
    const lease = this.leases.get(tableId);
    return lease && this.leases.remainingMs(lease) > 0 ? lease.holder : '';
  }

  leaseOf(tableId: number): applyV1.ReplicaLease | undefined {
    const lease = this.leases.get(tableId);
    if (!lease || lease.token === 0) return undefined;
    const remainingMs = BigInt(Math.ceil(this.leases.remainingMs(lease)));
    return { holder: lease.holder, token: BigInt(lease.token), remainingMs };
  }

  /** Nothing of a leader cluster is written into one that has become one itself. */
  private refusePromoted(): void {
    if (this.catalog.state.cluster.promoted) throw promoted();
  }

  private deadline(): number {
    return this.runtime.deadline(OPERATION_TIMEOUT_MS);
  }
}

function checkCount(items: readonly unknown[], field: string): void {
  if (items.length === 0) throw invalid(`${field} must be set`);
  if (items.length > LEASES_PER_CALL_MAX) {
    throw invalid(`${field} must be at most ${LEASES_PER_CALL_MAX}`);
  }
}

function tokenOf(value: bigint, field: string): number {
  if (value === 0n) throw invalid(`${field} must be set`);
  return checkedNumber(value, field);
}
