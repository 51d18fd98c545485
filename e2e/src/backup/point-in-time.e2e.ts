/**
 * Tables of three real nodes restored to any revision and to a time, from backups and a shipped log, while the
 * maintenance app is killed and started again: what comes back is what the writer knows to have been there.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli } from '../harness/cli.js';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { temporaryFolder } from '../harness/node-process.js';
import { readRecorded, RecordedTable } from '../harness/recorded-table.js';
import { type Draw, seeded } from '../harness/seeded.js';
import { Workload } from '../harness/workload.js';

const SEED = Number(process.env['E2E_SEED'] ?? 20_261);
const TABLE = 'orders';
const BUSY = 'busy';
const RESTORES = 20;
const SHIPPED_WITHIN_MS = 60_000;
/** Longer than the app needs to hear of a write. */
const PAUSE_MS = 2_000;

interface Listing {
  readonly logs: readonly {
    readonly table: string;
    readonly table_id: number;
    readonly first_revision: number;
    readonly last_revision: number;
    readonly restorable_from?: number;
  }[];
}

let cluster: Cluster;
let app: MaintenanceProcess;
let client: FlotillaClient;
let load: Workload;
let recorded: RecordedTable;
let draw: Draw;
/** A moment at which nothing was written, and what the table was then. */
let quietAtMs = 0;
let quietRevision = 0;
const folder = temporaryFolder('point-in-time');

async function backup<T>(...args: string[]): Promise<T> {
  const flags = ['--maintenance', app.address, '-w', 'json'];
  const address = cluster.node(1).apiAddress;
  const { code, stdout, stderr } = await new Cli(address).run(['backup', ...args, ...flags]);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}${stdout.toString()}`);
  return JSON.parse(stdout.toString()) as T;
}

const rows = (table: string) => readRecorded(cluster.node(1).apiAddress, table);

async function shipped(revision: number): Promise<void> {
  await waitUntil(
    `revision ${revision} is shipped`,
    async () => {
      const { logs } = await backup<Listing>('list');
      return logs.some((log) => log.table === TABLE && log.last_revision >= revision);
    },
    SHIPPED_WITHIN_MS,
  );
}

beforeAll(async () => {
  process.stdout.write(`seed ${SEED}\n`);
  draw = seeded(SEED);
  cluster = await Cluster.start(3);
  app = await MaintenanceProcess.start(cluster.endpoints, folder, ['--backup.log-shipping=1s']);
  client = cluster.client();
  await client.createTable(TABLE);
  await client.createTable(BUSY);
  load = new Workload(BUSY, [cluster.client()], 2);
  load.start();
  recorded = new RecordedTable(client, TABLE, draw);
  await recorded.write(120);
  await backup('create');
  await recorded.write(120);
  await app.kill();
  await recorded.write(60);
  await app.start();
  await recorded.write(60);
  await backup('create', '--incremental');
  await shipped(recorded.last.revision);
  await sleep(PAUSE_MS);
  quietAtMs = Date.now();
  quietRevision = recorded.last.revision;
  await sleep(PAUSE_MS);
  await recorded.write(80);
  await app.kill();
  await app.start();
  await recorded.write(40);
  await shipped(recorded.last.revision);
});

afterAll(async () => {
  await load?.stop();
  await app?.kill();
  await cluster?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

describe('a table of which the log is shipped', () => {
  it('is restored to whichever revision, with both revisions and the version of every row', async () => {
    const [log] = (await backup<Listing>('list')).logs.filter(({ table }) => table === TABLE);
    expect(log).toMatchObject({ restorable_from: log?.first_revision });
    const { states } = recorded;
    for (let nth = 0; nth < RESTORES; nth++) {
      const state = states[draw(states.length)];
      if (!state) throw new Error('nothing was recorded');
      const as = `restored-${nth}`;
      await backup('restore', TABLE, '--revision', String(state.revision), '--as', as);
      expect(await rows(as), `revision ${state.revision}`).toEqual(state.rows);
      const { header } = await client.put({ table: as, key: 'after', value: 'x' });
      expect(header.revision).toBeGreaterThan(state.revision);
      await client.deleteTable(as);
    }
  });

  it('is restored to a time', async () => {
    const time = new Date(quietAtMs).toISOString();
    const plan = await backup<object>('restore', TABLE, '--at', time, '--dry-run');
    expect(plan).toMatchObject({ tables: [{ table: TABLE, revision: quietRevision }] });
    await backup('restore', TABLE, '--at', time, '--as', 'timed');
    const due = recorded.states.find(({ revision }) => revision === quietRevision);
    expect(await rows('timed')).toEqual(due?.rows);
  });

  it('is refused at a revision that there is not, which is named, and nothing is changed', async () => {
    const beyond = recorded.last.revision + 1_000;
    const refused = backup('restore', TABLE, '--revision', String(beyond), '--as', 'beyond');
    await expect(refused).rejects.toThrow(new RegExp(`revisions \\d+ to ${beyond} are not stored`));
    expect((await client.listTables()).map(({ name }) => name)).not.toContain('beyond');
  });

  it('is restored in place, and its new log is shipped too', async () => {
    const state = recorded.states[draw(recorded.states.length)];
    if (!state) throw new Error('nothing was recorded');
    const before = (await backup<Listing>('list')).logs.filter(({ table }) => table === TABLE);
    await backup('restore', TABLE, '--in-place', '--revision', String(state.revision));
    expect(await rows(TABLE)).toEqual(state.rows);
    const { header } = await client.put({ table: TABLE, key: 'after', value: 'x' });
    expect(header.revision).toBeGreaterThan(recorded.last.revision);
    await shipped(header.revision);
    const logs = (await backup<Listing>('list')).logs.filter(({ table }) => table === TABLE);
    const [young] = logs.filter((log) => before.every(({ table_id: id }) => id !== log.table_id));
    // What the backup of before began has ended: the new one needs one of its own.
    expect(young).toMatchObject({ last_revision: header.revision });
    expect(young?.restorable_from).toBeUndefined();
    await backup('create', TABLE);
    await client.put({ table: TABLE, key: 'after', value: 'y' });
    await expect(backup('verify')).resolves.toMatchObject({ problem_count: 0 });
  });
});
