/**
 * What makes a node one of a follower cluster, put together.
 *
 *   clients --> FollowerKv --> copies here or elsewhere
 *                          \-> leader cluster (writes)
 *   pullers --> ReplicaApply --> catalog, groups of copies
 *   applied entries, changes of the catalog --> whoever waits for a revision
 *
 * In: the parts of a node, and the way to the leader cluster. Out: the services it registers and the
 * calls of other nodes it answers.
 */
import { bearerAuth, type CallContext, type GrpcServer, type MessageSink } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { applyV1 } from '@flotilla/proto';
import { type Catalog } from '../catalog/catalog.service.js';
import { type CatalogChange } from '../catalog/catalog-state.js';
import { type KvService } from '../kv/kv.service.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type PeerNetwork } from '../peers/peer-network.js';
import { type Forwarder } from '../routing/forwarder.js';
import { type MorePassedCalls } from '../routing/passed-calls.js';
import { type Answer, type TableRouter } from '../routing/table-router.js';
import { type TableAdmin } from '../tables/table-admin.js';
import { type TableRegistry } from '../tables/table-registry.js';
import { FollowerKv } from './follower-kv.js';
import { GatewayViews } from './gateway-views.js';
import { LagBoard } from './lag-board.js';
import { type LeaderCluster, LeaderWrites } from './leader-writes.js';
import { LocalCopies } from './local-copies.js';
import { PullerBoard } from './puller-board.js';
import { APPLY_BATCH, REPORT_POSITIONS, ReplicaApply, type TellNodes } from './replica-apply.js';
import { ReplicaLeases } from './replica-leases.js';
import { registerReplicaApi, REPLICA_APPLY_SERVICE } from './replica-api.js';
import { Renewals } from './renewals.js';
import { registerReset, type ResetSettings } from './reset-api.js';

export interface FollowerParts {
  readonly leader: LeaderCluster;
  readonly runtime: NodeRuntime;
  readonly catalog: Catalog;
  readonly tables: TableRegistry;
  readonly router: TableRouter;
  readonly kv: KvService;
  readonly admin: TableAdmin;
  readonly network: PeerNetwork;
  readonly forwarder: Forwarder;
  readonly logger: Logger;
  /** Bearer token of whoever may change tables; empty for no check. */
  readonly token: string;
  readonly maintenance: ResetSettings;
}

export class FollowerNode implements MorePassedCalls {
  readonly copies: LocalCopies;
  readonly lags: LagBoard;
  readonly pullers: PullerBoard;
  readonly writes: LeaderWrites;
  readonly kv: FollowerKv;
  readonly leases: ReplicaLeases;
  readonly apply: ReplicaApply;
  private readonly renewals: Renewals;

  constructor(private readonly parts: FollowerParts) {
    const { runtime, catalog, tables, router, kv, admin, leader } = parts;
    this.copies = new LocalCopies(runtime, catalog, router);
    const isListed = (id: number) => catalog.state.tablesById.has(id);
    this.lags = new LagBoard(runtime.clock, isListed);
    this.pullers = new PullerBoard(runtime.clock, isListed);
    this.writes = new LeaderWrites(leader, runtime.clock);
    this.renewals = new Renewals(catalog, runtime);
    const { copies, lags, pullers, writes, renewals } = this;
    this.kv = new FollowerKv({ runtime, catalog, router, kv, copies, lags, writes });
    const tellNodes = tellNodesBy(parts);
    this.leases = new ReplicaLeases(runtime, catalog);
    const { leases } = this;
    const views = new GatewayViews(runtime.clock);
    this.apply = new ReplicaApply({
      ...{ runtime, catalog, router, admin, lags, pullers, views, leases, renewals, tellNodes },
    });
    tables.useListener({
      advanced: (table) => copies.advanced(table),
      gone: (name) => copies.waits.changed(name),
    });
    catalog.onChange((changes) => this.follow(changes));
  }

  /** It is a leader cluster by now. */
  get isPromoted(): boolean {
    return this.parts.catalog.state.cluster.promoted;
  }

  register(server: GrpcServer): void {
    this.kv.register(server);
    server.authorize(REPLICA_APPLY_SERVICE, bearerAuth(this.parts.token));
    registerReplicaApi(server, this.apply, this.leases);
    registerReset(server, this.renewals, this.parts.maintenance);
  }

  /** Whoever waits is told that it is over. Idempotent. */
  stop(): void {
    this.copies.waits.close();
  }

  passedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> | undefined {
    if (method === APPLY_BATCH) return this.apply.apply(bytes, call, hops);
    if (method === REPORT_POSITIONS) {
      const told = applyV1.ReportPositionsResponse.encode(this.apply.reportHere(bytes)).finish();
      return Promise.resolve({ answer: told, index: 0 });
    }
    return this.kv.passedOn(method, bytes, call, hops);
  }

  streamPassedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    sink: MessageSink,
    hops: number,
  ): Promise<void> | undefined {
    return this.kv.streamPassedOn(method, bytes, call, sink, hops);
  }

  /** Whoever waits looks again where the table is, after everybody else has followed the change. */
  private follow(changes: readonly CatalogChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'table') continue;
      const { before, now } = change;
      if (before && before.id !== now?.id) {
        this.lags.forget(before.id);
        this.pullers.forget(before.id);
      }
      for (const name of new Set([before?.name, now?.name])) {
        if (name !== undefined) this.copies.waits.changed(name);
      }
    }
  }
}

/** Best effort: a node that does not hear of it now says so when it hears of the next one. */
function tellNodesBy({ network, forwarder, logger }: FollowerParts): TellNodes {
  return async (method, request, deadlineMs) => {
    const calls = network
      .living()
      .map((node) => forwarder.call(node, { method, request, hops: 0, deadlineMs }));
    const answers: Uint8Array[] = [];
    for (const outcome of await Promise.allSettled(calls)) {
      if (outcome.status === 'fulfilled') answers.push(outcome.value.answer);
      else {
        logger.debug({ err: outcome.reason as unknown, method }, 'a node was not told');
      }
    }
    return answers;
  };
}
