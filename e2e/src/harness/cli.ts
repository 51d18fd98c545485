/** The command `flotilla` as its user runs it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cleanEnvironment, ROOT } from './node-process.js';

export const CLI_PROGRAM = join(ROOT, 'apps/cli/bin/flotilla.js');

export interface CliResult {
  readonly code: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Largest resident set of the process, in bytes, as far as it was looked at. */
  readonly rssBytesMax: number;
}

export interface CliOptions {
  readonly input?: Uint8Array | string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called with the process, for those that want to end it early. */
  readonly onStart?: (pid: number) => void;
}

const SAMPLE_MS = 100;

/** What the command is started with: a busy machine may take longer than a user would wait. */
export function cliEnvironment(): NodeJS.ProcessEnv {
  return { ...cleanEnvironment(), FLOTILLA_COMMAND_TIMEOUT: '60s' };
}

export class Cli {
  constructor(
    private readonly endpoint: string,
    private readonly table?: string,
  ) {}

  /** Runs a command to its end, whatever its exit code. */
  async run(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
    const common = ['--endpoints', this.endpoint, ...(this.table ? ['--table', this.table] : [])];
    const child = spawn(process.execPath, [CLI_PROGRAM, ...args, ...common], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...cliEnvironment(), ...options.env },
    });
    const stdout: Buffer[] = [];
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    let rssBytesMax = 0;
    const sampler = setInterval(() => {
      rssBytesMax = Math.max(rssBytesMax, residentBytes(child.pid ?? 0));
    }, SAMPLE_MS);
    if (child.pid !== undefined) options.onStart?.(child.pid);
    child.stdin.end(options.input ?? '');
    const [code] = (await once(child, 'close')) as [number | null];
    clearInterval(sampler);
    return { code, stdout: Buffer.concat(stdout), stderr, rssBytesMax };
  }

  /** Runs a command that has to succeed; returns what it printed. */
  async ok(args: readonly string[], options: CliOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(args, options);
    if (code !== 0)
      throw new Error(`flotilla ${args.join(' ')}: ${code}\n${stdout.toString()}${stderr}`);
    return stdout.toString();
  }
}

/** Resident set of a process, in bytes; 0 if it is gone. */
export function residentBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024;
  } catch {
    // The process ended between two looks, or this system has no /proc: nothing was seen then.
    return 0;
  }
}
