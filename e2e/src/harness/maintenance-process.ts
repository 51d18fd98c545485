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
import { cleanEnvironment, freePort, ROOT } from './node-process.js';

const PROGRAM = join(ROOT, 'apps/maintenance/dist/main.js');
const START_MS = 60_000;
const OUTPUT_CHARS_MAX = 64 * 1024;

export class MaintenanceProcess {
  private child: ChildProcess | undefined;
  private printed = '';

  private constructor(
    readonly address: string,
    readonly restAddress: string,
    private readonly flags: readonly string[],
  ) {}

  static async start(
    nodes: readonly string[],
    folder: string,
    flags: readonly string[] = [],
    port?: number,
  ): Promise<MaintenanceProcess> {
    const address = `http://127.0.0.1:${port ?? (await freePort())}`;
    const rest = `http://127.0.0.1:${await freePort()}`;
    const app = new MaintenanceProcess(address, rest, [
      `--maintenance.address=${address}`,
      `--rest.address=${rest}`,
      `--cluster.addresses=${nodes.join(',')}`,
      `--backup.store=${pathToFileURL(folder).href}`,
      ...flags,
    ]);
    await app.start();
    return app;
  }

  get output(): string {
    return this.printed;
  }

  async start(): Promise<void> {
    this.printed = '';
    const child = spawn(process.execPath, [PROGRAM, 'leader', ...this.flags], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: cleanEnvironment(),
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
