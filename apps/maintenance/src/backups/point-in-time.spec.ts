/** Shipped logs as operators have them: listed, restored to a revision or a time, refused with what is missing. */
import { BackupObjects, KeyRing, SYSTEM_BACKUP_CLOCK } from '@flotilla/backup';
import { FakeBackupClock, FakeCluster } from '@flotilla/backup/testing';
import { status } from '@flotilla/grpc';
import { MemoryStore } from '@flotilla/object-store/testing';
import { SILENT_LOGGER } from '@flotilla/platform';
import { backupsV1 as v1 } from '@flotilla/proto';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { serve, type Served } from '../../test/support/served.js';
import { SYSTEM_CLOCK } from '../maintenance-clock.js';
import { BackupEngine } from './backup-engine.js';
import { BACKUPS_SERVICE, BackupsService } from './backups.service.js';
import { addLogMetrics } from './log-metrics.js';
import { LogShipping } from './log-shipping.js';

const RULES = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 86_400_000 };
const CONFIG = {
  store: 'x',
  runner: '',
  keyFiles: {},
  keyId: '',
  chunkBytes: 1_024,
  tablesAtOnce: 2,
  logShippingMs: 5,
};
const WAIT_MS = 60_000;

let served: Served | undefined;
let shipping: LogShipping | undefined;
afterEach(async () => {
  await shipping?.stop(1_000);
  await served?.close();
});

async function start() {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  const store = new MemoryStore();
  const engine = new BackupEngine({
    store,
    keys: new KeyRing(),
    source: cluster,
    shadows: cluster,
    clock: new FakeBackupClock(),
    config: CONFIG,
    runner: 'test',
    logger: SILENT_LOGGER,
    onGood: () => undefined,
  });
  shipping = new LogShipping({
    source: cluster,
    objects: new BackupObjects(store),
    keys: new KeyRing(),
    keyId: '',
    clock: SYSTEM_BACKUP_CLOCK,
    intervalMs: CONFIG.logShippingMs,
    timer: SYSTEM_CLOCK,
    logger: SILENT_LOGGER,
  });
  shipping.start();
  const metrics = { ended: () => undefined };
  served = await serve(new BackupsService(engine, RULES, SYSTEM_CLOCK, SILENT_LOGGER, metrics));
  return { cluster, table, engine, client: served.client, shipping };
}

type Started = Awaited<ReturnType<typeof start>>;
const path = (method: string) => `/${BACKUPS_SERVICE}/${method}`;

/** Writes, and waits until all of it is stored. */
async function write({ cluster, table, shipping: ships }: Started, count: number): Promise<void> {
  for (let at = 0; at < count; at++) table.put(Buffer.from(`key ${at}`), Buffer.alloc(9, at));
  const untilMs = Date.now() + WAIT_MS;
  while (!ships.figures().tables.some(({ revision }) => revision === table.revision)) {
    if (Date.now() > untilMs) throw new Error(`${cluster.clusterId}: the log is not shipped`);
    await SYSTEM_BACKUP_CLOCK.sleep(2);
  }
}

async function restore({ client }: Started, wish: Partial<v1.RestoreBackupRequest>) {
  const message = v1.RestoreBackupRequest.fromPartial(wish);
  const request = v1.RestoreBackupRequest.encode(message).finish();
  const steps: v1.RestoreBackupProgress['kind'][] = [];
  for await (const bytes of client.serverStream(path('Restore'), request)) {
    steps.push(v1.RestoreBackupProgress.decode(bytes).kind);
  }
  return steps;
}

async function logs({ client }: Started): Promise<v1.ShippedLog[]> {
  const answer = await client.unary(path('List'), new Uint8Array(0));
  return v1.ListBackupsResponse.decode(answer).logs;
}

describe('a restore to a point', () => {
  it('goes on from the newest backup before it with the log, and says so before', async () => {
    const started = await start();
    const { cluster, table, engine } = started;
    await write(started, 20);
    const wish = { kind: 'full', tables: [], parent: '' } as const;
    await engine.create(wish, AbortSignal.timeout(WAIT_MS), () => undefined);
    await write(started, 15);
    const point = { tables: ['t'], atRevision: 30n, as: 'copy' };
    const [plan] = await restore(started, { ...point, dryRun: true });
    expect(plan).toMatchObject({
      $case: 'plan',
      value: { tables: [{ as: 'copy', revision: 30n, backupRevision: 20n, backups: 1n }] },
    });
    expect(cluster.tables.has('copy')).toBe(false);
    expect((await restore(started, point)).at(-1)).toMatchObject({ $case: 'done' });
    const keys = (rows: ReturnType<typeof table.at> | undefined) =>
      [...(rows?.entries() ?? [])].sort();
    expect(keys(cluster.tables.get('copy')?.at(30))).toEqual(keys(table.at(30)));
    const [log] = await logs(started);
    expect(log).toMatchObject({ table: 't', lastRevision: 35n, restorableFrom: 1n });
    const atMs = log?.lastAtMs ?? 0n;
    const replaced = table.tableId;
    expect((await restore(started, { tables: ['t'], atMs, inPlace: true })).at(-1)).toMatchObject({
      value: { tables: [{ as: 't' }] },
    });
    expect(cluster.tables.get('t')?.tableId).not.toBe(replaced);
    expect(keys(cluster.tables.get('t')?.at(35))).toEqual(keys(table.at(35)));
  });

  it('of every table leaves those out that were not there yet', async () => {
    const started = await start();
    await write(started, 5);
    const atMs = BigInt(Date.now());
    await SYSTEM_BACKUP_CLOCK.sleep(10);
    const late = started.cluster.create('late');
    late.put(Buffer.from('x'), Buffer.from('y'));
    await write({ ...started, table: late }, 1);
    const [plan] = await restore(started, { atMs, dryRun: true });
    expect(plan).toMatchObject({ value: { tables: [{ table: 't', revision: 5n }] } });
  });

  it('is refused with what is missing, or with the field that makes no sense', async () => {
    const started = await start();
    await write(started, 5);
    const { INVALID_ARGUMENT, OUT_OF_RANGE, NOT_FOUND } = status;
    const cases = [
      [{ tables: ['t'], atRevision: 9n }, OUT_OF_RANGE, 'revisions 6 to 9 are not stored below'],
      [{ tables: ['t'], atMs: 1n }, OUT_OF_RANGE, 'nothing of it was seen by then'],
      [{ tables: ['u'], atRevision: 1n }, NOT_FOUND, 'nothing is stored of u'],
      [{ tables: ['t'], atRevision: 0n }, INVALID_ARGUMENT, 'revisions begin at 1'],
      [{ atRevision: 1n }, INVALID_ARGUMENT, 'exactly one table has to be named'],
      [{ tables: ['t'], atRevision: 1n, atMs: 1n }, INVALID_ARGUMENT, 'only one can be'],
    ] as const;
    for (const [wish, code, text] of cases) {
      await expect(
        restore(started, { ...wish, tables: [...('tables' in wish ? wish.tables : [])] }),
      ).rejects.toMatchObject({ code, message: expect.stringContaining(text) as string });
    }
    expect(started.cluster.shadows.size).toBe(0);
  });
});

describe('the metrics of shipping', () => {
  it('tell the revision of each table, what was stored, and how far it is behind', async () => {
    const started = await start();
    const registry = new Registry();
    addLogMetrics(registry, () => started.shipping.figures());
    await write(started, 5);
    const text = await registry.metrics();
    expect(text).toContain('flotilla_backup_log_shipped_revision{table="t"} 5');
    expect(text).toContain('flotilla_backup_log_lag_seconds 0');
    expect(text).toMatch(/flotilla_backup_log_bytes_total [1-9]/);
    expect(text).toContain('flotilla_backup_log_gaps_total 0');
    expect(text).toContain('flotilla_backup_log_errors_total 0');
  });
});
