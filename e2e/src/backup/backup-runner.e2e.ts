/**
 * Several maintenance apps with one schedule: one runs it, another one takes over when that is killed,
 * paused or stopped, and no backup is made by two.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { waitUntil } from '../harness/cluster.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, temporaryFolder } from '../harness/node-process.js';

const TOKEN = 'of the tables';
const HOLDER = 'flotilla_backup_schedule_holder';
/** Within 11 s on a machine that has nothing else to do. */
const TAKE_OVER_MS = 60_000;
/** Longer than the lease. */
const PAUSE_MS = 15_000;

let node: NodeProcess;
const apps = new Map<string, MaintenanceProcess>();
const folder = temporaryFolder('runner');

beforeAll(async () => {
  node = await NodeProcess.start({ flags: [`--tables.token=${TOKEN}`] });
  const client = new FlotillaClient({
    endpoints: [node.apiAddress],
    timeoutMs: 60_000,
    token: TOKEN,
  });
  await client.createTable('t');
  await client.put({ table: 't', key: 'a', value: 'b' });
  client.close();
  for (const name of ['a', 'b']) apps.set(name, await startApp(name));
});

afterAll(async () => {
  for (const app of apps.values()) await app.kill();
  await node?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

function startApp(name: string): Promise<MaintenanceProcess> {
  return MaintenanceProcess.start([node.apiAddress], folder, [
    `--cluster.token=${TOKEN}`,
    `--backup.runner=${name}`,
    '--schedule.full=* * * * * *',
    '--retention.keep-last=1000',
  ]);
}

async function holders(): Promise<string[]> {
  const asked = [...apps].map(async ([name, app]) => {
    return (await app.metric(HOLDER)) === 1 ? [name] : [];
  });
  return (await Promise.all(asked)).flat();
}

interface Made {
  readonly id: string;
  readonly runToken?: number;
  readonly startedAt: string;
}

function manifests(): Made[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names
    .filter((name) => name.endsWith('manifest.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as Made)
    .sort((one, other) => (one.id < other.id ? -1 : 1));
}

const newestToken = () => Math.max(0, ...manifests().map(({ runToken }) => runToken ?? 0));

function appNamed(name: string | undefined): MaintenanceProcess {
  const app = apps.get(name ?? '');
  if (!app) throw new Error(`there is no app ${name}`);
  return app;
}

/** What it took from the end of one runner to the first backup of the next. */
async function takenOver(token: number): Promise<number> {
  const beganMs = Date.now();
  await waitUntil('another one runs it', () => newestToken() > token, TAKE_OVER_MS);
  return Date.now() - beganMs;
}

describe('maintenance apps with one schedule', () => {
  it('make each backup once: one of them has the turn', async () => {
    await waitUntil('backups are made', () => manifests().length >= 3, TAKE_OVER_MS);
    expect(await holders()).toHaveLength(1);
    expect(new Set(manifests().map(({ runToken }) => runToken))).toEqual(new Set([1]));
  });

  it('go on within seconds when the one that has it is killed', async () => {
    const [name] = await holders();
    await appNamed(name).kill();
    apps.delete(name ?? '');
    const token = newestToken();
    console.log(`killed: the next backup was made after ${await takenOver(token)} ms`);
    expect(await holders()).toHaveLength(1);
    apps.set('c', await startApp('c'));
  });

  it('take over from one that is paused, which commits nothing once it wakes up', async () => {
    const token = newestToken();
    const [name] = await holders();
    const paused = appNamed(name);
    apps.delete(name ?? '');
    process.kill(paused.pid, 'SIGSTOP');
    console.log(`paused: the next backup was made after ${await takenOver(token)} ms`);
    await sleep(PAUSE_MS);
    const [newer] = manifests().filter(({ runToken = 0 }) => runToken > token);
    process.kill(paused.pid, 'SIGCONT');
    await sleep(PAUSE_MS / 3);
    const late = manifests().filter(
      ({ id, runToken }) => id > (newer?.id ?? '') && runToken === token,
    );
    expect(late).toEqual([]);
    expect(await paused.metric(HOLDER)).toBe(0);
    apps.set(name ?? '', paused);
    expect(await holders()).toHaveLength(1);
  });

  it('hand it on at once when they are stopped', async () => {
    const token = newestToken();
    const [name] = await holders();
    await appNamed(name).stop();
    apps.delete(name ?? '');
    console.log(`stopped: the next backup was made after ${await takenOver(token)} ms`);
  });

  it('make a backup by hand whichever is asked, beside the schedule', async () => {
    const standby = await startApp('d');
    apps.set('d', standby);
    expect(await holders()).not.toContain('d');
    const cli = new Cli(node.apiAddress);
    // The one that has the turn may be at work just then.
    await waitUntil(
      'it is made',
      async () => {
        const args = ['backup', 'create', '--maintenance', standby.address, '-w', 'json'];
        const { code, stderr } = await cli.run(args);
        if (code !== 0 && !stderr.includes('is making backup')) throw new Error(stderr);
        return code === 0;
      },
      TAKE_OVER_MS,
    );
    expect(manifests().some(({ runToken }) => runToken === undefined)).toBe(true);
  });
});
