/**
 * What a gateway of a follower cluster says of its work when it is scraped. Names of Regatta where
 * it has the figure. Lags and states are read at the moment of the scrape; labels are tables that
 * are pulled, or were, so there are no more than the cluster has had.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { LINK_STATES, type LinkLeader } from './link/link-leader.js';
import { type PositionBoard } from './position-board.js';
import { type PulledTables } from './pulled-tables.js';
import { type Failure } from './puller-machine.js';
import { type PullerEvents } from './puller.js';
import { type TableDiscovery } from './table-discovery.js';

export class PullerMetrics implements PullerEvents {
  private readonly commands: Counter<'table'>;
  private readonly bytes: Counter<'table' | 'kind'>;
  private readonly failures: Counter<'table' | 'kind'>;
  private readonly snapshots: Counter<'table' | 'outcome'>;

  constructor(private readonly registry: Registry) {
    const registers = [registry];
    this.commands = new Counter({
      name: 'flotilla_puller_applied_commands_total',
      help: 'Commands of the leader cluster that were applied to copies.',
      labelNames: ['table'],
      registers,
    });
    this.bytes = new Counter({
      name: 'flotilla_puller_bytes_total',
      help: 'Bytes of commands applied (log), and of snapshots received.',
      labelNames: ['table', 'kind'],
      registers,
    });
    this.failures = new Counter({
      name: 'flotilla_puller_errors_total',
      help: 'What went wrong with pulling tables, by kind.',
      labelNames: ['table', 'kind'],
      registers,
    });
    this.snapshots = new Counter({
      name: 'flotilla_puller_snapshots_total',
      help: 'Copies that were made anew from a snapshot, by how that ended.',
      labelNames: ['table', 'outcome'],
      registers,
    });
  }

  applied(table: string, commands: number, bytes: number): void {
    this.commands.inc({ table }, commands);
    this.bytes.inc({ table, kind: 'log' }, bytes);
  }

  failed(table: string, kind: Failure): void {
    this.failures.inc({ table, kind });
  }

  snapshotBytes(table: string, bytes: number): void {
    this.bytes.inc({ table, kind: 'snapshot' }, bytes);
  }

  snapshotEnded(table: string, outcome: 'done' | 'failed'): void {
    this.snapshots.inc({ table, outcome });
  }

  /** What is looked up at each scrape. */
  expose(tables: PulledTables, discovery: TableDiscovery): void {
    this.gauge('regatta_replication_leased', 'Tables that are pulled by this gateway.', (set) => {
      for (const { table } of tables.all()) set({ table }, 1);
    });
    this.gauge('flotilla_puller_state', 'What is done for a table: 1 for its state.', (set) => {
      for (const { table, state } of tables.all()) set({ table, state }, 1);
    });
    this.gauge('flotilla_replication_copies', 'Copies that this cluster has.', (set) => {
      set({}, tables.copyCount);
    });
    const unlisted = 'Copies whose tables the leader cluster did not name when last asked.';
    this.gauge('flotilla_replication_unlisted_copies', unlisted, (set) => {
      set({}, discovery.unlisted);
    });
    const conflicts = 'Tables of the leader cluster whose names local tables have here.';
    this.gauge('flotilla_replication_name_conflicts', conflicts, (set) => {
      set({}, discovery.conflicts);
    });
    const refused = 'Tables of the leader cluster that this cluster refuses to have.';
    this.gauge('flotilla_replication_refused_tables', refused, (set) => {
      set({}, discovery.refusedNames);
    });
  }

  exposeLag(board: PositionBoard, nowMs: () => number): void {
    const index = 'Last index of the leader cluster: as it was heard (leader), here (follower).';
    this.gauge('regatta_replication_index', index, (set) => {
      for (const { table, leaderIndex, copyIndex } of board.lags(nowMs())) {
        set({ table, role: 'leader' }, leaderIndex);
        set({ table, role: 'follower' }, copyIndex);
      }
    });
    const lag = 'For how long the leader cluster has had more than is here.';
    this.gauge('flotilla_replication_lag_seconds', lag, (set) => {
      for (const { table, seconds } of board.lags(nowMs())) set({ table }, seconds);
    });
  }

  exposeLink(link: Pick<LinkLeader, 'state' | 'heldBytes'>): void {
    const state = 'The stream to the leader cluster: 1 for its state.';
    this.gauge('flotilla_link_state', state, (set) => {
      for (const one of LINK_STATES) set({ state: one }, Number(one === link.state));
    });
    const held = 'Bytes of commands that came by the stream and are not in copies yet.';
    this.gauge('flotilla_link_held_bytes', held, (set) => set({}, link.heldBytes));
  }

  private gauge(
    name: string,
    help: string,
    collect: (set: (labels: Record<string, string>, value: number) => void) => void,
  ): void {
    new Gauge({
      name,
      help,
      labelNames: ['table', 'role', 'state'],
      registers: [this.registry],
      collect() {
        this.reset();
        collect((labels, value) => this.set(labels, value));
      },
    });
  }
}
