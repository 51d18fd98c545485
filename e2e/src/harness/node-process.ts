/**
 * A real kv-node as a child process: started, killed, stopped and started again on the same data.
 *
 * Waits for what the node says over IPC, with a deadline; keeps what it printed and shows it when
 * something goes wrong.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@flotilla/grpc/testing';
import { DiskFaults } from './disk-faults.js';

export const ROOT = resolve(import.meta.dirname, '../../..');
const FOLDER = join(ROOT, 'apps/kv-node');
const PROGRAM = join(FOLDER, 'dist/main.js');

/** What Node itself is told where a node of a leader cluster is started, as `npm start` does it. */
const LEADER_FLAGS: readonly string[] = ['--v8-pool-size=0'];
/** How long one call of a test may take on a busy machine; what is refused is refused at once. */
export const CALL_MS = 60_000;
const START_MS = 180_000;
const STOP_MS = 30_000;
const OUTPUT_CHARS_MAX = 64 * 1024;
/** A log file that is larger is put aside, in the place of the one before it. */
const LOG_BYTES_MAX = 32 * 1024 * 1024;

export interface NodeOptions {
  /** A fresh folder below the system's temporary one if absent. */
  readonly dataDir?: string;
  /** `leader` if absent. */
  readonly role?: 'leader' | 'follower';
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** File operations of the process can be made to fail: `faults`. */
  readonly diskFaults?: boolean;
  /** Takes the place of a free port on 127.0.0.1. */
  readonly apiAddress?: string;
  /** The same for the address of other nodes, host:port. */
  readonly raftAddress?: string;
  /** Options of Node itself. */
  readonly execArgv?: readonly string[];
  /** Gets all that the node prints, over all its starts. */
  readonly logFile?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export function temporaryFolder(name: string): string {
  return mkdtempSync(join(tmpdir(), `flotilla-${name}-`));
}

export class NodeProcess {
  readonly dataDir: string;
  private readonly disk: DiskFaults | undefined;
  private readonly ownsDataDir: boolean;
  private child: ChildProcess | undefined;
  private exited: Promise<Exit> | undefined;
  private printed = '';

  private constructor(
    private readonly options: NodeOptions,
    readonly apiAddress: string,
    readonly restAddress: string,
    readonly raftAddress: string,
  ) {
    this.ownsDataDir = options.dataDir === undefined;
    this.dataDir = options.dataDir ?? temporaryFolder('node');
    if (options.diskFaults === true) this.disk = new DiskFaults(this.dataDir);
  }

  /** Addresses are chosen here and stay over restarts; nothing runs yet. */
  static async prepare(options: NodeOptions = {}): Promise<NodeProcess> {
    const api = options.apiAddress ?? `http://127.0.0.1:${await freePort()}`;
    const rest = `http://127.0.0.1:${await freePort()}`;
    const raft = options.raftAddress ?? `127.0.0.1:${await freePort()}`;
    return new NodeProcess(options, api, rest, raft);
  }

  static async start(options: NodeOptions = {}): Promise<NodeProcess> {
    const node = await NodeProcess.prepare(options);
    await node.start();
    return node;
  }

  get faults(): DiskFaults {
    if (!this.disk) throw new Error('the node was prepared without faults of its disk');
    return this.disk;
  }

  get output(): string {
    return this.printed;
  }

  get pid(): number {
    const pid = this.child?.pid;
    if (pid === undefined) throw new Error('the node does not run');
    return pid;
  }

  /** Settles once the node serves. Throws with what it printed if it ends or takes too long. */
  async start(): Promise<void> {
    const child = this.spawn();
    const ready = new Promise<'ready'>((done) => {
      child.on('message', (message: { type?: string }) => {
        if (message.type === 'ready') done('ready');
      });
    });
    const late = new AbortController();
    const outcome = await Promise.race([
      ready,
      this.exit(),
      sleep(START_MS, 'late' as const, { signal: late.signal }),
    ]);
    late.abort();
    if (outcome !== 'ready') {
      child.kill('SIGKILL');
      throw new Error(`the node did not start (${JSON.stringify(outcome)}):\n${this.printed}`);
    }
  }

  /** Starts a node and waits for nothing. */
  launch(): void {
    this.spawn();
  }

  /** Starts a node that is expected to refuse; returns how it ended. */
  async startAndFail(): Promise<Exit> {
    const child = this.spawn();
    const late = new AbortController();
    const outcome = await Promise.race([this.exit(), sleep(START_MS, undefined, late)]);
    late.abort();
    child.kill('SIGKILL');
    if (!outcome) throw new Error(`the node neither served nor ended:\n${this.printed}`);
    return outcome;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && !this.child.signalCode;
  }

  /** Sends a signal and waits for nothing. */
  signal(signal: NodeJS.Signals): void {
    this.child?.kill(signal);
  }

  /** How the process ended, if it does within the time. */
  async ended(timeoutMs: number): Promise<Exit | undefined> {
    const late = new AbortController();
    const outcome = await Promise.race([
      this.exit(),
      sleep(timeoutMs, undefined, { signal: late.signal }),
    ]);
    late.abort();
    return outcome;
  }

  async kill(): Promise<void> {
    this.child?.kill('SIGKILL');
    await this.exit();
  }

  /** A clean stop; throws with what was printed if it is not clean. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.child?.kill(signal);
    const late = new AbortController();
    const outcome = await Promise.race([this.exit(), sleep(STOP_MS, undefined, late)]);
    late.abort();
    if (outcome?.code === 0) return;
    this.child?.kill('SIGKILL');
    throw new Error(`the node did not stop cleanly (${JSON.stringify(outcome)}):\n${this.printed}`);
  }

  /** Ends the node whatever it does, and removes its data if it was ours. */
  async dispose(): Promise<void> {
    if (this.child && this.child.exitCode === null && this.child.signalCode === null) {
      await this.kill();
    }
    this.disk?.remove();
    if (this.ownsDataDir) rmSync(this.dataDir, { recursive: true, force: true });
  }

  private spawn(): ChildProcess {
    this.printed = '';
    mkdirSync(this.dataDir, { recursive: true });
    const flags = [
      `--api.address=${this.apiAddress}`,
      `--api.advertise-address=${this.apiAddress}`,
      `--rest.address=${this.restAddress}`,
      `--raft.address=${this.raftAddress}`,
      `--data-dir=${this.dataDir}`,
      ...(this.options.flags ?? []),
    ];
    const { role = 'leader' } = this.options;
    const child = spawn(
      process.execPath,
      [
        ...(role === 'leader' ? LEADER_FLAGS : []),
        ...(this.disk?.execArgv ?? []),
        ...(this.options.execArgv ?? []),
        PROGRAM,
        role,
        ...flags,
      ],
      {
        cwd: this.dataDir,
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        env: { ...cleanEnvironment(), ...this.disk?.env, ...this.options.env },
      },
    );
    this.log(`-- started as process ${child.pid ?? 0} at ${new Date().toISOString()}\n`);
    const keep = (chunk: Buffer) => {
      this.log(chunk);
      this.printed = (this.printed + chunk.toString()).slice(-OUTPUT_CHARS_MAX);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.child = child;
    this.exited = new Promise((resolve) => {
      child.on('exit', (code, signal) => resolve({ code, signal }));
    });
    return child;
  }

  private log(text: string | Buffer): void {
    const { logFile } = this.options;
    if (logFile === undefined) return;
    const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
    if (size > LOG_BYTES_MAX) renameSync(logFile, `${logFile}.before`);
    appendFileSync(logFile, text);
  }

  private exit(): Promise<Exit> {
    return this.exited ?? Promise.reject(new Error('the node was never started'));
  }
}

/** Runs a command of the program on the data of a node, to its end. */
export function runOnData(
  node: NodeProcess,
  command: string,
  flags: readonly string[] = [],
): { readonly code: number | null; readonly output: string } {
  const where = [`--data-dir=${node.dataDir}`, `--raft.address=${node.raftAddress}`];
  const { status, stdout } = spawnSync(process.execPath, [PROGRAM, command, ...where, ...flags], {
    encoding: 'utf8',
    env: cleanEnvironment(),
    timeout: START_MS,
    killSignal: 'SIGKILL',
  });
  return { code: status, output: stdout };
}

/** Settings of the shell that runs the tests must not reach the node. */
export function cleanEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('FLOTILLA_'));
  return Object.fromEntries(entries);
}
