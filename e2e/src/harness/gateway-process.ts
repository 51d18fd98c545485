/**
 * A real replication gateway as a child process: started, killed and started again.
 *
 * It keeps nothing on disk. Waits for what it says over IPC, with a deadline; keeps what it printed
 * and shows it when something goes wrong.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@flotilla/grpc/testing';
import { cleanEnvironment, ROOT } from './node-process.js';

const PROGRAM = join(ROOT, 'apps/replication-gateway/dist/main.js');
const START_MS = 60_000;
const OUTPUT_CHARS_MAX = 64 * 1024;

export class GatewayProcess {
  private child: ChildProcess | undefined;
  private printed = '';

  private constructor(
    private readonly role: 'leader' | 'follower',
    /** Where follower clusters connect to; nobody does to a gateway of a follower cluster. */
    readonly address: string,
    readonly restAddress: string,
    private readonly flags: readonly string[],
  ) {}

  /** Settles once the gateway serves; whether it has found a node by then is another matter. */
  static async start(
    nodes: readonly string[],
    flags: readonly string[] = [],
    scheme: 'http' | 'https' = 'http',
  ): Promise<GatewayProcess> {
    const address = `${scheme}://127.0.0.1:${await freePort()}`;
    const rest = `http://127.0.0.1:${await freePort()}`;
    const gateway = new GatewayProcess('leader', address, rest, [
      `--replication.address=${address}`,
      `--cluster.addresses=${nodes.join(',')}`,
      ...flags,
    ]);
    await gateway.start();
    return gateway;
  }

  /** The same in a follower cluster: it pulls from the leader cluster into these nodes. */
  static async startFollower(
    nodes: readonly string[],
    leaderAddress: string,
    flags: readonly string[] = [],
  ): Promise<GatewayProcess> {
    const rest = `http://127.0.0.1:${await freePort()}`;
    const gateway = new GatewayProcess('follower', '', rest, [
      `--replication.leader-address=${leaderAddress}`,
      `--cluster.addresses=${nodes.join(',')}`,
      ...flags,
    ]);
    await gateway.start();
    return gateway;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null;
  }

  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error('the gateway does not run');
    return pid;
  }

  get output(): string {
    return this.printed;
  }

  async start(): Promise<void> {
    this.printed = '';
    const flags = [`--rest.address=${this.restAddress}`, ...this.flags];
    const child = spawn(process.execPath, [PROGRAM, this.role, ...flags], {
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
    throw new Error(`the gateway did not start (${outcome}):\n${this.printed}`);
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** A clean stop; throws with what was printed if it is not clean. */
  async stop(): Promise<void> {
    const code = await this.end('SIGTERM');
    if (code !== 0) throw new Error(`the gateway ended with ${code}:\n${this.printed}`);
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
