/**
 * Copies that are wanted anew, because somebody does not trust what they hold.
 *
 *   wanted --> noted beside the table, which is served on --> made anew out of sight by whoever holds its lease
 *                                                              `--> the note is gone with what it was of
 *
 * In: a name and what it is a copy of. Out: whether the wish is noted in the catalog. Nothing is deleted here: a
 * copy that cannot be made anew, because the leader cluster is away, stays what it is.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Catalog } from '../catalog/catalog.service.js';
import { decodeRow, encodeRow, tableKey, type TableSource } from '../catalog/catalog-rows.js';
import { withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { promoted } from '../promotion/promoted.js';
import { isSameSource } from '../tables/table-admin.js';

/** How often a lost race is tried again before the caller is told to come back. */
const ATTEMPTS_MAX = 32;

export type RenewalOutcome = 'wanted' | 'missing' | 'other';

export class Renewals {
  constructor(
    private readonly catalog: Catalog,
    private readonly runtime: Pick<NodeRuntime, 'deadline'>,
  ) {}

  /** Names of all copies, as they are known here once the catalog has been asked. */
  async copies(): Promise<readonly { readonly name: string; readonly source: TableSource }[]> {
    this.refusePromoted();
    await withStatus(this.catalog.barrier(this.runtime.deadline(OPERATION_TIMEOUT_MS)));
    return [...this.catalog.state.tables.values()].flatMap(({ name, source }) =>
      source ? [{ name, source }] : [],
    );
  }

  /** May be called again. Leaves alone what is not a copy of exactly this source. */
  async want(name: string, source: TableSource): Promise<RenewalOutcome> {
    const { catalog } = this;
    const deadlineMs = this.runtime.deadline(OPERATION_TIMEOUT_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      await withStatus(catalog.barrier(deadlineMs));
      this.refusePromoted();
      const table = catalog.state.tables.get(name);
      if (!table) return 'missing';
      if (!isSameSource(source, table.source)) return 'other';
      if (table.renewalWanted) return 'wanted';
      const value = encodeRow({ ...decodeRow(table.stored), renewalWanted: true });
      const noted = catalog.replace(tableKey(name), table.stored, value, deadlineMs);
      if (await withStatus(noted)) return 'wanted';
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'tables change too fast, try again later');
  }

  /** What was a copy is the cluster's own by now: there is nothing to make it anew from. */
  private refusePromoted(): void {
    if (this.catalog.state.cluster.promoted) throw promoted();
  }
}
