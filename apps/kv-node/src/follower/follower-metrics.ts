/**
 * What a node of a follower cluster says of its copies when it is scraped.
 *
 * Names of Regatta where it has the figure. Everything is read at the moment of the scrape.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { type TableRegistry } from '../tables/table-registry.js';
import { type FollowerNode } from './follower-node.js';

export function exposeFollower(
  registry: Registry,
  follower: FollowerNode,
  tables: TableRegistry,
): void {
  exposeCopies(registry, follower, tables);
  exposePullers(registry, follower, tables);
  new Counter({
    name: 'flotilla_forwarded_writes_total',
    help: 'Writes sent to the leader cluster, by how that ended.',
    labelNames: ['kind'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const [kind, count] of Object.entries({ ...follower.writes.counters })) {
        this.inc({ kind }, count);
      }
    },
  });
  new Gauge({
    name: 'flotilla_revision_waits',
    help: 'Calls that wait for the copy here to reach a revision, or may have to.',
    registers: [registry],
    collect() {
      this.set(follower.copies.waits.waiting);
    },
  });
}

/** As their gateways tell it; the gateway's own metrics have more. */
function exposePullers(registry: Registry, follower: FollowerNode, tables: TableRegistry): void {
  const state = new Gauge({
    name: 'flotilla_replication_puller_state',
    help: 'What is done for a table by its gateway: 1 for its state, nothing if none has told.',
    labelNames: ['table', 'state'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name } of tables.all()) {
        const puller = follower.pullers.of(id);
        if (puller) this.set({ table: name, state: puller.state }, 1);
      }
    },
  });
  const revisions = new Gauge({
    name: 'flotilla_replication_lag_revisions',
    help: 'How many revisions more the leader cluster has than are here.',
    labelNames: ['table'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name, machine } of tables.all()) {
        const { lag } = follower.lags.of(id, machine.state.leaderIndex);
        if (lag) this.set({ table: name }, lag.revisions);
      }
    },
  });
  const snapshot = new Gauge({
    name: 'flotilla_replication_snapshot_bytes',
    help: 'Received of the snapshot that a copy is made anew from.',
    labelNames: ['table'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name } of tables.all()) {
        const bytes = follower.pullers.of(id)?.snapshotBytes ?? 0;
        if (bytes > 0) this.set({ table: name }, bytes);
      }
    },
  });
  for (const gauge of [state, revisions, snapshot]) gauge.reset();
}

function exposeCopies(registry: Registry, follower: FollowerNode, tables: TableRegistry): void {
  const index = new Gauge({
    name: 'regatta_replication_index',
    help: 'Last index of the leader cluster: as it was heard (leader), and here (follower).',
    labelNames: ['role', 'table'] as const,
    registers: [registry],
    collect() {
      this.reset();
      if (follower.isPromoted) return;
      for (const { id, name, machine } of tables.named()) {
        this.set({ role: 'follower', table: name }, machine.state.leaderIndex);
        const heard = follower.lags.leaderRevision(id);
        if (heard !== undefined) this.set({ role: 'leader', table: name }, heard);
      }
    },
  });
  const seconds = new Gauge({
    name: 'flotilla_replication_lag_seconds',
    help: 'For how long the leader cluster has had more than is here.',
    labelNames: ['table'] as const,
    registers: [registry],
    collect() {
      this.reset();
      for (const { id, name, machine } of tables.named()) {
        const ms = follower.lags.of(id, machine.state.leaderIndex).lag?.ms;
        if (ms !== undefined) this.set({ table: name }, ms / 1000);
      }
    },
  });
  index.reset();
  seconds.reset();
}
