/** Schedules of several apps over one store and one cluster, with turns that a test gives and takes. */
import { type BackupKind, type BackupListing, KeyRing } from '@flotilla/backup';
import { FakeBackupClock, FakeCluster } from '@flotilla/backup/testing';
import { MemoryStore } from '@flotilla/object-store/testing';
import { SILENT_LOGGER } from '@flotilla/platform';
import { Registry } from 'prom-client';
import { BackupEngine } from '../../src/backups/backup-engine.js';
import { BackupMetrics } from '../../src/backups/backup-metrics.js';
import { BackupSchedule } from '../../src/backups/backup-schedule.js';
import { type MaintenanceClock, SYSTEM_CLOCK } from '../../src/maintenance-clock.js';
import { type RunnerTurn, type Turns } from '../../src/runner/runner-lease.js';

export const RULES = {
  keepLast: 1,
  keepHourly: 0,
  keepDaily: 0,
  keepWeekly: 0,
  unfinishedMs: 86_400_000,
};
const CONFIG = {
  store: 'x',
  keyFiles: {},
  keyId: '',
  chunkBytes: 1_024,
  tablesAtOnce: 2,
  logShippingMs: 0,
};
const LONG_MS = 300_000;
const NEVER = new AbortController().signal;

export class GivenTurns implements Turns {
  turn: RunnerTurn | undefined;
  private over = new AbortController();
  private readonly listeners = new Set<(turn: RunnerTurn | undefined) => void>();

  constructor(readonly holder: string) {}

  onChange(listener: (turn: RunnerTurn | undefined) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  give(token: number | undefined): void {
    this.over = new AbortController();
    this.turn = { token, signal: this.over.signal };
    for (const listener of this.listeners) listener(this.turn);
  }

  take(): void {
    this.turn = undefined;
    this.over.abort(new Error('the lease is lost'));
    for (const listener of this.listeners) listener(undefined);
  }
}

export interface ScheduledApp {
  readonly schedule: BackupSchedule;
  readonly turns: GivenTurns;
  readonly registry: Registry;
}

export class ScheduleBench {
  readonly cluster = new FakeCluster();
  readonly store = new MemoryStore();
  readonly clock = new FakeBackupClock();
  private readonly apps: ScheduledApp[] = [];
  private readonly reader: BackupEngine;

  constructor() {
    const table = this.cluster.create('t');
    for (let at = 0; at < 50; at++) table.put(Buffer.from(`key ${at}`), Buffer.alloc(100, at));
    this.clock.nowMs = Date.now();
    this.reader = this.engine('reader', () => undefined);
  }

  app(runner: string, schedule = { full: '', incremental: '', drill: '' }): ScheduledApp {
    const registry = new Registry();
    const metrics = new BackupMetrics(registry, SYSTEM_CLOCK);
    const turns = new GivenTurns(runner);
    const engine = this.engine(runner, (manifest) => {
      metrics.newest = manifest;
    });
    const parts = { engine, config: schedule, rules: RULES, turns, metrics };
    // Nobody waits in a test, but for looks that come again and again.
    const sleep: MaintenanceClock['sleep'] = (delayMs, signal) =>
      SYSTEM_CLOCK.sleep(delayMs > LONG_MS ? delayMs : 1, signal);
    const clock = { ...SYSTEM_CLOCK, sleep, wallMs: () => this.clock.wallMs() };
    const scheduled = new BackupSchedule({ ...parts, clock, logger: SILENT_LOGGER });
    scheduled.start();
    const app = { schedule: scheduled, turns, registry };
    this.apps.push(app);
    return app;
  }

  list(): Promise<BackupListing> {
    return this.reader.list(NEVER);
  }

  async kinds(): Promise<BackupKind[]> {
    return (await this.list()).good.map(({ kind }) => kind);
  }

  async close(): Promise<void> {
    await Promise.all(this.apps.map(({ schedule }) => schedule.stop()));
  }

  private engine(
    runner: string,
    onGood: ConstructorParameters<typeof BackupEngine>[0]['onGood'],
  ): BackupEngine {
    const { store, cluster, clock } = this;
    const keys = new KeyRing();
    const config = { ...CONFIG, runner };
    const parts = { store, keys, source: cluster, shadows: cluster, clock, config };
    return new BackupEngine({ ...parts, runner, logger: SILENT_LOGGER, onGood });
  }
}
