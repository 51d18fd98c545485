/**
 * What a gateway says of its work when it is scraped: what went to follower clusters, and whether it
 * hears of the tables. Names that no table has count as one: callers may ask for anything.
 */
import { Counter, Gauge, type Registry } from 'prom-client';
import { type TableDirectory } from '../nodes/table-directory.js';

/** What a link says of itself. */
export interface LinkFigures {
  readonly streamCount: number;
  readonly subscriptionCount: number;
  readonly heldBytes: number;
}

export class ReplicationMetrics {
  private readonly registers: Registry[];
  private readonly sentCommands: Counter<'table'>;
  private readonly sentBytes: Counter<'table' | 'kind'>;
  private readonly snapshots: Counter<'table' | 'outcome'>;

  constructor(
    registry: Registry,
    private readonly directory: Pick<TableDirectory, 'all' | 'isKnown' | 'find'>,
  ) {
    const registers = [registry];
    this.registers = registers;
    this.sentCommands = new Counter({
      name: 'flotilla_replication_sent_commands_total',
      help: 'Commands that were sent to follower clusters.',
      labelNames: ['table'],
      registers,
    });
    this.sentBytes = new Counter({
      name: 'flotilla_replication_sent_bytes_total',
      help: 'Bytes of messages with commands, and of snapshots, that were sent.',
      labelNames: ['table', 'kind'],
      registers,
    });
    this.snapshots = new Counter({
      name: 'flotilla_replication_snapshots_total',
      help: 'Snapshots of tables that were streamed, by how that ended.',
      labelNames: ['table', 'outcome'],
      registers,
    });
    new Gauge({
      name: 'flotilla_replication_tables',
      help: 'Tables that this gateway knows of.',
      registers,
      collect() {
        this.set(directory.all().length);
      },
    });
    new Gauge({
      name: 'flotilla_replication_tables_known',
      help: 'Whether a node tells this gateway which tables there are.',
      registers,
      collect() {
        this.set(directory.isKnown ? 1 : 0);
      },
    });
  }

  /** Who is attached, and what lies in memory for them. */
  watchLink(link: LinkFigures): void {
    const { registers } = this;
    const gauge = (name: string, help: string, figure: () => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(figure());
        },
      });
    gauge('flotilla_link_streams', 'Gateways that are attached.', () => link.streamCount);
    gauge(
      'flotilla_link_subscriptions',
      'Tables that attached gateways follow, each counted for each of them.',
      () => link.subscriptionCount,
    );
    gauge(
      'flotilla_link_held_bytes',
      'Bytes of commands that wait for attached gateways.',
      () => link.heldBytes,
    );
  }

  commands(name: string, count: number, bytes: number): void {
    const table = this.label(name);
    this.sentCommands.inc({ table }, count);
    this.sentBytes.inc({ table, kind: 'log' }, bytes);
  }

  snapshot(name: string, outcome: 'done' | 'failed'): void {
    this.snapshots.inc({ table: this.label(name), outcome });
  }

  snapshotBytes(name: string, bytes: number): void {
    this.sentBytes.inc({ table: this.label(name), kind: 'snapshot' }, bytes);
  }

  private label(name: string): string {
    return this.directory.find(name) ? name : '';
  }
}
