/**
 * `npm run demo`: a leader cluster and two follower clusters, with a long way between them; what it
 * prints works, and Ctrl-C leaves nothing behind.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLI_PROGRAM, cliEnvironment } from '../harness/cli.js';
import { waitUntil } from '../harness/cluster.js';
import { cleanEnvironment, ROOT } from '../harness/node-process.js';

const READY_MS = 240_000;
const DELAY_MS = 40;
const COMMAND_MS = 120_000;
const asUser = { encoding: 'utf8', env: cliEnvironment() } as const;

describe('npm run demo', () => {
  let demo: ReturnType<typeof spawn>;
  let output = '';

  beforeAll(async () => {
    // What `npm run demo` runs; a group of its own, so that Ctrl-C can be sent to all of it.
    const args = [join(ROOT, 'tools/demo.mjs'), '--link-delay-ms', String(DELAY_MS)];
    demo = spawn(process.execPath, args, {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: cleanEnvironment(),
    });
    const take = (chunk: Buffer) => (output += chunk.toString());
    demo.stdout?.on('data', take);
    demo.stderr?.on('data', take);
    const isReady = () => {
      if (demo.exitCode !== null) throw new Error(`it ended:\n${output}`);
      return output.includes('Ctrl-C stops all');
    };
    await waitUntil('the demo is ready', isReady, READY_MS);
  });
  afterAll(() => {
    if (demo.pid !== undefined && demo.exitCode === null) process.kill(-demo.pid, 'SIGKILL');
  });

  it('prints commands that work, in their order', async () => {
    const commands = [...output.matchAll(/^ {2}npx flotilla (.*)$/gm)].map(
      ([, args]) => args ?? '',
    );
    expect(commands).toHaveLength(6);
    const printed: string[] = [];
    const took: number[] = [];
    for (const command of commands) {
      const sinceMs = performance.now();
      const run = () => {
        const args = [CLI_PROGRAM, ...command.split(' ')];
        const { status, stdout } = spawnSync(process.execPath, args, asUser);
        // What was read at another follower cluster may be on its way there.
        return status === 0 && stdout !== '' ? printed.push(stdout) > 0 : false;
      };
      await waitUntil(command, run, COMMAND_MS);
      took.push(performance.now() - sinceMs);
    }
    expect(printed[2]).toBe('hello\nworld\n');
    expect(printed[3]).toBe('hello\nworld\n');
    expect(printed[5]).toMatch(/role follower/);
    expect(printed[5]).toMatch(/│ demo +│/);
    // To the leader cluster and back again.
    expect(took[1]).toBeGreaterThan(2 * DELAY_MS);
  });

  it('stops all processes with Ctrl-C, and leaves no data', async () => {
    const [, folder = ''] = /each process prints is in (\S+)/.exec(output) ?? [];
    expect(existsSync(folder)).toBe(true);
    const exited = once(demo, 'exit') as Promise<[number | null]>;
    if (demo.pid === undefined) throw new Error('it was never started');
    process.kill(-demo.pid, 'SIGINT');
    const [code] = await exited;
    expect({ code, output: output.includes('ended (') }).toEqual({ code: 0, output: false });
    expect(existsSync(folder)).toBe(false);
    // Nobody of the group is left.
    const group = -demo.pid;
    expect(() => process.kill(group, 0)).toThrow();
  });
});
