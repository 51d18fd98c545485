/**
 * A real maintenance app as a child process: started, killed and started again.
 *
 * It keeps nothing on disk but backups. Waits for what it says over IPC, with a deadline; keeps what it
 * printed and shows it when something goes wrong.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { freePort } from '@flotilla/grpc/testing';
import { cleanEnvironment, ROOT } from './node-process.js';

const PROGRAM = join(ROOT, 'apps/maintenance/dist/main.js');
const START_MS = 60_000;
const OUTPUT_CHARS_MAX = 64 * 1024;

export interface SpawnOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Options of Node itself. */
  readonly execArgv?: readonly string[];
}

export class MaintenanceProcess {
  private child: ChildProcess | undefined;
  private printed = '';

  private constructor(
    readonly address: string,
    readonly restAddress: string,
    private readonly flags: readonly string[],
    private readonly spawned: SpawnOptions,
  ) {}

  /** `store` is a folder, or the URL of a store of another kind, which may need variables. */
  static async start(
    nodes: readonly string[],
    store: string,
    flags: readonly string[] = [],
    { port, ...spawned }: SpawnOptions & { readonly port?: number } = {},
  ): Promise<MaintenanceProcess> {
    const url = store.includes('://') ? store : pathToFileURL(store).href;
    const isSecure = flags.some((flag) => flag.startsWith('--maintenance.cert-filename='));
    const address = `${isSecure ? 'https' : 'http'}://127.0.0.1:${port ?? (await freePort())}`;
    const rest = `http://127.0.0.1:${await freePort()}`;
    const all = [
      `--maintenance.address=${address}`,
      `--rest.address=${rest}`,
      `--cluster.addresses=${nodes.join(',')}`,
      `--backup.store=${url}`,
      ...flags,
    ];
    const app = new MaintenanceProcess(address, rest, all, spawned);
    await app.start();
    return app;
  }

  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error('the maintenance app does not run');
    return pid;
  }

  get output(): string {
    return this.printed;
  }

  /** What it tells of itself; the value of a metric without labels. */
  async metric(name: string): Promise<number | undefined> {
    const text = await (await fetch(`${this.restAddress}/metrics`)).text();
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return line === undefined ? undefined : Number(line.slice(name.length));
  }

  async start(): Promise<void> {
    this.printed = '';
    const args = [...(this.spawned.execArgv ?? []), PROGRAM, 'leader', ...this.flags];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { ...cleanEnvironment(), ...this.spawned.environment },
    });
    const keep = (chunk: Buffer) => {
      this.printed = (this.printed + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.child = child;
    const late = new AbortController();
    const outcome = await Promise.race([
      once(child, 'message').then(() => 'ready'),
      once(child, 'exit').then(() => 'ended'),
      sleep(START_MS, 'late', { signal: late.signal }),
    ]);
    late.abort();
    if (outcome === 'ready') return;
    child.kill('SIGKILL');
    throw new Error(`the maintenance app did not start (${outcome}):\n${this.printed}`);
  }

  /** A clean stop; throws with what was printed if it is not clean. */
  async stop(): Promise<void> {
    const code = await this.end('SIGTERM');
    if (code !== 0) throw new Error(`the maintenance app ended with ${code}:\n${this.printed}`);
  }

  /** Idempotent. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return null;
    const exited = once(child, 'exit');
    child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }
}
