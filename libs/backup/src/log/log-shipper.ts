/**
 * Ships the logs of all tables of a cluster, for as long as it runs.
 *
 *   tables of the cluster --new--> a table shipper       --gone, another epoch--> it stores what it has, ends
 *
 * In: the cluster, the store, an interval. Out: pieces of logs, and what there is to say of them. Bounds that
 * all tables share: bytes that are held, streams, calls of the store. Two of these at once do no harm.
 */
import {
  LOG_HELD_BYTES_MAX,
  LOG_PAUSE_MS,
  LOG_STREAMS_MAX,
  LOG_WRITES_AT_ONCE,
} from '../bounds.js';
import { type BackupClock } from '../clock.js';
import { type KeyRing } from '../format/key-ring.js';
import { type BackupObjects } from '../objects/backup-objects.js';
import { type LogSource, type SourceCluster, type SourceTable } from '../ports.js';
import { LogCatalog } from './log-catalog.js';
import { LogWriter } from './log-writer.js';
import { type ShipEvent, TableShipper, type TableShipperParts } from './table-shipper.js';
import { HeldBytes, Turns } from './turns.js';

export interface LogShipperParts {
  readonly source: LogSource;
  readonly objects: BackupObjects;
  readonly keys: KeyRing;
  readonly keyId: string;
  readonly clock: BackupClock;
  /** An entry is stored so long after it was seen, or sooner. */
  readonly intervalMs: number;
  /** Told of what happens; of no table where the cluster cannot be watched. */
  readonly onEvent: (table: SourceTable | undefined, event: ShipEvent) => void;
  /** Fewer than the bounds of the library, for tests. */
  readonly streamsMax?: number;
  readonly heldBytesMax?: number;
}

interface Running {
  readonly shipper: TableShipper;
  readonly unwanted: AbortController;
  ended: Promise<void>;
}

export class LogShipper {
  private readonly running = new Map<string, Running>();
  private readonly reading = new AbortController();
  private readonly ending = new AbortController();
  private readonly held: HeldBytes;
  private readonly streams: Turns;
  private readonly storeCalls = new Turns(LOG_WRITES_AT_ONCE);
  private readonly streamsMax: number;
  private watched: SourceCluster | undefined;
  private watching: Promise<void> = Promise.resolve();

  constructor(private readonly parts: LogShipperParts) {
    const { streamsMax = LOG_STREAMS_MAX, heldBytesMax = LOG_HELD_BYTES_MAX } = parts;
    this.streamsMax = streamsMax;
    this.streams = new Turns(streamsMax);
    this.held = new HeldBytes(heldBytesMax);
  }

  start(): void {
    this.watching = this.watch();
  }

  /** What was read is stored within the grace; after it, it is given up and read again by the next one. */
  async stop(graceMs: number): Promise<void> {
    this.reading.abort();
    const given = new AbortController();
    const ended = this.allEnded().then(() => given.abort());
    await Promise.race([ended, this.parts.clock.sleep(graceMs, given.signal)]);
    this.ending.abort();
    await ended;
  }

  get heldBytes(): number {
    return this.held.bytes;
  }

  get openStreams(): number {
    return this.streams.open;
  }

  tables(): readonly TableShipper[] {
    return Array.from(this.running.values(), ({ shipper }) => shipper);
  }

  private async allEnded(): Promise<void> {
    await this.watching;
    await Promise.all(Array.from(this.running.values(), ({ ended }) => ended));
  }

  private async watch(): Promise<void> {
    const { source, clock, onEvent } = this.parts;
    const { signal } = this.reading;
    while (!signal.aborted) {
      try {
        for await (const cluster of source.watch(signal)) {
          this.watched = cluster;
          this.follow();
        }
      } catch (error) {
        if (!signal.aborted) onEvent(undefined, { kind: 'failed', error });
      }
      await clock.sleep(LOG_PAUSE_MS, signal);
    }
  }

  private follow(): void {
    const { watched } = this;
    if (!watched || this.reading.signal.aborted) return;
    const wanted = new Map(watched.tables.map((table) => [keyOf(table), table]));
    for (const [key, { unwanted }] of this.running) if (!wanted.has(key)) unwanted.abort();
    for (const [key, table] of wanted) {
      if (!this.running.has(key)) this.begin(key, table, watched.clusterId);
    }
    if (this.mustShare) for (const { shipper } of this.running.values()) shipper.call();
  }

  private begin(key: string, table: SourceTable, clusterId: string): void {
    const unwanted = new AbortController();
    const reading = AbortSignal.any([this.reading.signal, unwanted.signal]);
    // One of its own: what waits for one that all share would be told of as a leak.
    const ending = AbortSignal.any([this.ending.signal]);
    const shipper = new TableShipper(table, this.shared(clusterId));
    const running: Running = { shipper, unwanted, ended: Promise.resolve() };
    this.running.set(key, running);
    running.ended = shipper.run(reading, ending).then(() => {
      this.running.delete(key);
      // It may have come back while the rest of it was stored.
      this.follow();
    });
  }

  private get mustShare(): boolean {
    return this.running.size > this.streamsMax;
  }

  private shared(clusterId: string): TableShipperParts {
    const { source, objects, keys, keyId, clock, intervalMs, onEvent } = this.parts;
    return {
      clusterId,
      source,
      logs: new LogCatalog(objects, keys),
      writer: new LogWriter(objects, keys, keyId),
      clock,
      intervalMs,
      held: this.held,
      streams: this.streams,
      storeCalls: this.storeCalls,
      mustShare: () => this.mustShare,
      onEvent,
    };
  }
}

function keyOf({ tableId, epoch }: SourceTable): string {
  return `${tableId}/${epoch}`;
}
