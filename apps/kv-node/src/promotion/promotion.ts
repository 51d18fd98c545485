/**
 * Makes a follower cluster a leader cluster, for good.
 *
 *   decided    one row of the catalog: generation followed + 1, promoted. From then on nothing is pulled,
 *              and every node answers as one of a leader cluster
 *   each copy  adopted in its own log, then its row says no more that it is a copy: it is written to
 *
 * In: the wish of an operator, at any node; looks of the catalog's leader, which does the rest however often
 * it has to begin anew. Out: a report, table by table. It decides nothing by itself: whether the leader
 * cluster is gone for good is for people to say.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { HostError } from '@flotilla/raft';
import { type Catalog } from '../catalog/catalog.service.js';
import { CLUSTER_KEY, encodeCluster, ownCommand } from '../catalog/catalog-rows.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { type FollowerNode } from '../follower/follower-node.js';
import { withStatus } from '../kv/errors.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type TableSteps } from '../shadow/table-steps.js';
import { type OtherNodes } from '../tables/table-admin.js';
import { type CopyLook } from './copy-look.js';

/** Of a leader cluster that never said which it has. */
const GENERATION_FIRST = 1;
const ATTEMPTS_MAX = 8;
const DECIDE_MS = 5_000;
const TABLE_MS = 2_000;
/** Copies that are looked at, or taken over, at a time. */
const AT_ONCE = 16;
/** Copies that one look of the catalog's leader takes over; the rest at the next one. */
const PER_STEP_MAX = 256;
/** How gateways call the holder of a lease of a copy that they fill. */
const FILLING = '/filling';

export interface PromotionParts {
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly look: CopyLook;
  readonly steps: Pick<TableSteps, 'adoptTable'>;
  /** Undefined where the node was started as one of a leader cluster. */
  readonly follower: FollowerNode | undefined;
  readonly others: Pick<OtherNodes, 'living' | 'awaitCatalog'>;
  readonly logger: Pick<Logger, 'info' | 'warn'>;
}

export interface PromotedCopy {
  readonly table: string;
  readonly revision: number;
  readonly leaderRevision: number | undefined;
  readonly lagMs: number | undefined;
  /** Why it could not be looked at, or holds a part of its table alone; empty if all is well. */
  readonly problem: string;
  readonly isIncomplete: boolean;
}

export interface PromotionReport {
  /** The cluster's from then on. */
  readonly generation: number;
  /** Empty if it never heard which one it followed. */
  readonly followedClusterId: string;
  /** In the order of names. */
  readonly tables: readonly PromotedCopy[];
}

export class Promotion {
  constructor(private readonly parts: PromotionParts) {}

  get isPromoted(): boolean {
    return this.parts.catalog.state.cluster.promoted;
  }

  /** Copies that are not taken over yet. */
  get left(): number {
    return this.parts.catalog.state.copies.size;
  }

  /** What a promotion would find. Throws GrpcStatusError FailedPrecondition in a leader cluster. */
  async report(): Promise<PromotionReport> {
    const { catalog, runtime } = this.parts;
    await withStatus(catalog.barrier(runtime.deadline(DECIDE_MS)));
    if (!this.isPromoted && !this.parts.follower) throw notFollowing();
    const tables: PromotedCopy[] = [];
    await eachOf(this.copies(), async (info) => void tables.push(await this.describe(info)));
    const { leaderClusterId } = catalog.state.cluster;
    return {
      generation: this.nextGeneration(),
      followedClusterId: leaderClusterId,
      tables: tables.sort((a, b) => (a.table < b.table ? -1 : 1)),
    };
  }

  /** Decides it, once. Copies that hold a part of their table alone have to be accepted. */
  async promote(acceptIncomplete: boolean): Promise<PromotionReport> {
    const { catalog, runtime, logger } = this.parts;
    const report = await this.report();
    const partly = report.tables.filter(({ isIncomplete }) => isIncomplete);
    if (partly.length > 0 && !acceptIncomplete && !this.isPromoted) throw incomplete(partly);
    const deadlineMs = runtime.deadline(DECIDE_MS);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { cluster } = catalog.state;
      if (cluster.promoted) return report;
      const generation = this.nextGeneration();
      const { leaderClusterId } = cluster;
      const row = { generation: BigInt(generation), leaderClusterId, promoted: true };
      const value = encodeCluster(row);
      if (await withStatus(catalog.replace(CLUSTER_KEY, cluster.stored, value, deadlineMs))) {
        logger.info({ generation, copies: report.tables.length }, 'the cluster was promoted');
        await this.heardByAll();
        return { ...report, generation };
      }
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'the catalog changes too fast, try again');
  }

  /** By the catalog's leader, at each look: what is still a copy is taken over. */
  async step(): Promise<void> {
    if (!this.isPromoted || this.left === 0) return;
    await eachOf(this.copies().slice(0, PER_STEP_MAX), async (info) => {
      try {
        await this.takeOver(info);
      } catch (error) {
        if (!(error instanceof HostError) && !(error instanceof GrpcStatusError)) throw error;
        const { name: table } = info;
        this.parts.logger.warn({ table, reason: error.message }, 'a copy is not taken over yet');
      }
    });
  }

  /** What a node that lives does not hear in time, it hears before it next asks the catalog. */
  private async heardByAll(): Promise<void> {
    const { catalog, others, logger } = this.parts;
    const index = catalog.appliedIndex;
    const calls = others.living().map((node) => others.awaitCatalog(node, index, TABLE_MS));
    for (const outcome of await Promise.allSettled(calls)) {
      if (outcome.status === 'fulfilled') continue;
      const reason = String(outcome.reason);
      logger.warn({ reason }, 'a node has not said that it knows of the promotion');
    }
  }

  private async takeOver(info: TableInfo): Promise<void> {
    const { catalog, runtime, steps, follower, logger } = this.parts;
    const heard = follower?.lags.leaderRevision(info.id) ?? 0;
    const revision = await steps.adoptTable(info.id, heard, runtime.deadline(TABLE_MS));
    // A row that changed meanwhile, as one of a table that moves, is looked at again.
    await catalog.propose(ownCommand(info.stored), runtime.deadline(TABLE_MS));
    logger.info({ table: info.name, revision }, 'a copy is a table of this cluster now');
  }

  private async describe(info: TableInfo): Promise<PromotedCopy> {
    const { runtime, look, follower, catalog } = this.parts;
    const leaderRevision = follower?.lags.leaderRevision(info.id);
    const isIncomplete = catalog.state.leases.get(info.id)?.holder.endsWith(FILLING) ?? false;
    const told = { table: info.name, leaderRevision, isIncomplete };
    try {
      const revision = await look.leaderIndex(info, runtime.deadline(TABLE_MS));
      const lagMs = follower?.lags.of(info.id, revision).lag?.ms;
      const problem = isIncomplete ? 'it is being filled, and holds a part of its table alone' : '';
      return { ...told, revision, lagMs, problem };
    } catch (error) {
      if (!(error instanceof HostError) && !(error instanceof GrpcStatusError)) throw error;
      return { ...told, revision: 0, lagMs: undefined, problem: error.message };
    }
  }

  private copies(): TableInfo[] {
    const { copies, tablesById } = this.parts.catalog.state;
    return Array.from(copies, (id) => tablesById.get(id)).filter((info) => info !== undefined);
  }

  private nextGeneration(): number {
    const { generation, promoted } = this.parts.catalog.state.cluster;
    return promoted ? generation : Math.max(generation, GENERATION_FIRST) + 1;
  }
}

async function eachOf<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await act(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}

function notFollowing(): GrpcStatusError {
  const text = 'this is a leader cluster already: there is nothing to promote';
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}

function incomplete(partly: readonly PromotedCopy[]): GrpcStatusError {
  const names = partly.map(({ table }) => table).join(', ');
  const text = `copies that hold a part of their tables alone: ${names}; accept_incomplete takes them`;
  return new GrpcStatusError(status.FAILED_PRECONDITION, text);
}
