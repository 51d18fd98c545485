/**
 * The first minute of a new user: `npm start`, the three commands that it prints, Ctrl-C.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '@flotilla/grpc/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { CLI_PROGRAM, cliEnvironment } from '../harness/cli.js';
import { cleanEnvironment, ROOT, temporaryFolder } from '../harness/node-process.js';

const READY_MS = 120_000;
const asUser = { encoding: 'utf8', env: cliEnvironment() } as const;

describe('npm start', () => {
  const dataDir = temporaryFolder('start');
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  async function start(api: number, rest: number, raft: number) {
    // What `npm start` runs; a group of its own, so that Ctrl-C can be sent to all of it.
    const child = spawn(
      process.execPath,
      [
        join(ROOT, 'tools/start.mjs'),
        `--data-dir=${dataDir}`,
        `--api.address=http://127.0.0.1:${api}`,
        `--rest.address=http://127.0.0.1:${rest}`,
        `--raft.address=127.0.0.1:${raft}`,
      ],
      { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() },
    );
    let output = '';
    const timeout = AbortSignal.timeout(READY_MS);
    await new Promise<void>((resolve, reject) => {
      timeout.addEventListener('abort', () => reject(new Error(`not ready:\n${output}`)));
      const read = (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('Ctrl-C stops it')) resolve();
      };
      child.stdout.on('data', read);
      child.stderr.on('data', read);
      child.on('exit', () => reject(new Error(`ended:\n${output}`)));
    });
    return { child, output };
  }

  async function stop(child: Awaited<ReturnType<typeof start>>['child']) {
    const exited = once(child, 'exit') as Promise<[number | null]>;
    if (child.pid === undefined) throw new Error('it was never started');
    process.kill(-child.pid, 'SIGINT');
    const [code] = await exited;
    return code;
  }

  it('prints where it listens and three commands that work; the data is there at the next start', async () => {
    const ports = [await freePort(), await freePort(), await freePort()] as const;
    const first = await start(...ports);
    expect(first.output).toContain(`http://127.0.0.1:${ports[0]}`);
    const commands = [...first.output.matchAll(/^ {2}npx flotilla (.*)$/gm)].map(
      ([, args]) => args,
    );
    expect(commands).toHaveLength(3);
    const answers = commands.map((args = '') =>
      spawnSync(process.execPath, [CLI_PROGRAM, ...args.split(' ')], asUser),
    );
    expect(answers.map(({ status, stderr }) => [status, stderr])).toEqual([
      [0, ''],
      [0, ''],
      [0, ''],
    ]);
    expect(answers[2]?.stdout).toBe('hello\nworld\n');
    expect(await stop(first.child)).toBe(0);

    const second = await start(...ports);
    const args = (commands[2] ?? '').split(' ');
    const again = spawnSync(process.execPath, [CLI_PROGRAM, ...args], asUser);
    expect(again.stdout).toBe('hello\nworld\n');
    expect(await stop(second.child)).toBe(0);
  });
});
