/**
 * `backup`: a backup to a folder while clients read, checked, and restored under a new name.
 *
 *   rows loaded -> node restarted -> reads alone -> reads and backup -> disk alone -> verify -> restore
 *
 * In: how large, how many nodes. Out: megabytes a second of plain bytes, latencies of the reads, CPU and
 * memory of each process. Nothing is told unless the restored rows are those that were backed up.
 */
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MaintenanceProcess, temporaryFolder } from '@flotilla/e2e/harness';
import { type NamedProcess, ProcessWatch } from '../measure/process-watch.js';
import type { Figures } from '../replication/replication-report.js';
import { calm } from '../scenarios/prepare.js';
import { startFlotilla } from '../servers/flotilla-server.js';
import { TABLE } from '../servers/regatta-protocol.js';
import type { Server } from '../servers/server.js';
import type { BackupOptions } from './backup-options.js';
import { BackupsClient } from './backups-client.js';
import { diskMBps } from './disk-limit.js';
import { loadRows, rowsOf } from './load-rows.js';
import { rowsHash } from './rows-hash.js';
import { SteadyReads } from './steady-reads.js';

const RESTORED = 'bench-restored';
const MB = 1e6;
const WARM_UP_MS = 2_000;

export class BackupBench {
  private readonly folder = temporaryFolder('backups');
  private server: Server | undefined;
  private app: MaintenanceProcess | undefined;
  private backups: BackupsClient | undefined;
  private reads: SteadyReads | undefined;

  constructor(
    private readonly options: BackupOptions,
    private readonly say: (line: string) => void,
  ) {}

  async run(): Promise<Figures> {
    const rows = rowsOf(this.options.megabytes);
    const server = await this.startLoaded(rows);
    const { app, backups } = await this.startApp(server);
    const processes = () => this.processes(server, app);
    const address = `http://${server.address}`;
    const { readRate: ratePerSecond, seconds } = this.options;
    const reads = new SteadyReads({ address, rows, ratePerSecond });
    this.reads = reads;
    await sleep(WARM_UP_MS);
    await reads.mark();
    this.say('reads alone');
    await sleep(seconds * 1_000);
    const before = await reads.mark();

    this.say('backup');
    const made = await timed(processes, () => backups.create());
    const during = await reads.mark();
    const { id, plainBytes, storedBytes, tables } = made.outcome;
    const megabytes = Number(plainBytes) / MB;

    this.say('verify');
    const verified = await timed(processes, () => backups.verify(id));
    await reads.mark();
    this.say('restore');
    const restored = await timed(processes, () => backups.restore(id, TABLE, RESTORED));
    const restoring = await reads.mark();
    await reads.close();
    this.say('comparing rows');
    await expectSame(address, tables[0]?.revision ?? 0n, rows);
    const disk = await diskMBps(Number(storedBytes));
    return {
      megabytes,
      storedMegabytes: Number(storedBytes) / MB,
      backupMBps: megabytes / made.seconds,
      backupStoredMBps: Number(storedBytes) / MB / made.seconds,
      diskMBps: disk,
      readP99BeforeMs: before.p99Ms,
      readP99DuringMs: during.p99Ms,
      p99Ratio: during.p99Ms / before.p99Ms,
      readP50BeforeMs: before.p50Ms,
      readP50DuringMs: during.p50Ms,
      readMaxDuringMs: during.maxMs,
      readsDuring: during.reads,
      readsNotSent: before.notSent + during.notSent + restoring.notSent,
      verifyMBps: megabytes / verified.seconds,
      restoreMBps: megabytes / restored.seconds,
      readP99RestoringMs: restoring.p99Ms,
      ...figuresOf('backup', made.watch, megabytes),
      ...figuresOf('verify', verified.watch, megabytes),
      ...figuresOf('restore', restored.watch, megabytes),
    };
  }

  /** Ends all processes and removes what they wrote. Idempotent. */
  async dispose(): Promise<void> {
    const { reads, backups, app, server } = this;
    this.reads = this.backups = this.app = this.server = undefined;
    await reads?.close();
    backups?.close();
    // A profile is written by a process that ends by itself.
    await app?.stop().catch((error: unknown) => this.say(String(error)));
    await server?.dispose();
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async startLoaded(rows: number): Promise<Server> {
    const { nodes, megabytes } = this.options;
    this.say(`${nodes} nodes, ${rows} rows, ${megabytes} MB`);
    const server = await startFlotilla({
      ...{ name: 'flotilla', nodes, engine: undefined, transport: undefined },
      profileDir: this.profileDir,
    });
    this.server = server;
    await loadRows(server.address, rows);
    await server.restart();
    if (!(await calm([server]))) this.say('the nodes have not become calm');
    return server;
  }

  private async startApp(
    server: Server,
  ): Promise<{ readonly app: MaintenanceProcess; readonly backups: BackupsClient }> {
    const { profileDir } = this;
    const execArgv = profileDir === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`];
    const address = `http://${server.address}`;
    const app = await MaintenanceProcess.start([address], this.folder, [], { execArgv });
    this.app = app;
    const backups = new BackupsClient(app.address);
    this.backups = backups;
    return { app, backups };
  }

  private processes(server: Server, app: MaintenanceProcess): readonly NamedProcess[] {
    return [
      ...server.pids.map((pid, at) => ({ name: `node ${at + 1}`, pid })),
      { name: 'maintenance', pid: app.pid },
    ];
  }

  private get profileDir(): string | undefined {
    const { profile } = this.options;
    return profile === undefined ? undefined : resolve(profile);
  }
}

interface Timed<T> {
  readonly outcome: T;
  readonly seconds: number;
  readonly watch: ProcessWatch;
}

async function timed<T>(
  processes: () => readonly NamedProcess[],
  work: () => Promise<T>,
): Promise<Timed<T>> {
  const watch = new ProcessWatch(processes);
  watch.start();
  try {
    const startMs = performance.now();
    const outcome = await work();
    return { outcome, seconds: (performance.now() - startMs) / 1_000, watch };
  } finally {
    watch.stop();
  }
}

/** `cpuMsPerMB` of a backup is `backupCpuMsPerMB`. */
function figuresOf(phase: string, watch: ProcessWatch, megabytes: number): Figures {
  const figures = { ...watch.cpuMsPer('MB', megabytes), ...watch.growthMiB() };
  const named = Object.entries(figures).map(([name, value]) => [
    `${phase}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    value,
  ]);
  return Object.fromEntries(named) as Figures;
}

async function expectSame(address: string, revision: bigint, rows: number): Promise<void> {
  const original = await rowsHash(address, TABLE, revision);
  const restored = await rowsHash(address, RESTORED, 0n);
  if (original.rows === rows && restored.rows === rows && original.hash === restored.hash) return;
  const counts = `${restored.rows} rows restored of ${original.rows}, ${rows} loaded`;
  throw new Error(`the restored rows are other ones: ${counts}`);
}
