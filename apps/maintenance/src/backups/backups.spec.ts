/** Backups as operators ask for them, and as the schedule makes them, against a cluster in memory. */
import { KeyRing } from '@flotilla/backup';
import { FakeBackupClock, FakeCluster } from '@flotilla/backup/testing';
import { status } from '@flotilla/grpc';
import { MemoryStore } from '@flotilla/object-store/testing';
import { SILENT_LOGGER } from '@flotilla/platform';
import { backupsV1 as v1 } from '@flotilla/proto';
import { Registry } from 'prom-client';
import { afterEach, describe, expect, it } from 'vitest';
import { serve, type Served } from '../../test/support/served.js';
import { SYSTEM_CLOCK } from '../maintenance-clock.js';
import { type Turns } from '../runner/runner-lease.js';
import { BackupEngine } from './backup-engine.js';
import { BackupMetrics } from './backup-metrics.js';
import { BackupSchedule } from './backup-schedule.js';
import { BACKUPS_SERVICE, BackupsService } from './backups.service.js';

const RULES = { keepLast: 1, keepHourly: 0, keepDaily: 0, keepWeekly: 0, unfinishedMs: 86_400_000 };
const CONFIG = {
  store: 'x',
  runner: '',
  keyFiles: {},
  keyId: '',
  chunkBytes: 1_024,
  tablesAtOnce: 2,
  logShippingMs: 0,
};

let served: Served | undefined;
afterEach(() => served?.close());

const TURNS = { holder: 'test', turn: { token: 7, signal: new AbortController().signal } };

async function start(
  hasStore = true,
  turns: Turns = { ...TURNS, onChange: () => () => undefined },
) {
  const cluster = new FakeCluster();
  const table = cluster.create('t');
  for (let at = 0; at < 50; at++) table.put(Buffer.from(`key ${at}`), Buffer.alloc(100, at));
  const registry = new Registry();
  const metrics = new BackupMetrics(registry, SYSTEM_CLOCK);
  const clock = new FakeBackupClock();
  const engine = new BackupEngine({
    store: new MemoryStore(),
    keys: new KeyRing(),
    source: cluster,
    shadows: cluster,
    clock,
    config: CONFIG,
    runner: 'test',
    logger: SILENT_LOGGER,
    onGood: (manifest) => {
      metrics.newest = manifest;
    },
  });
  const service = new BackupsService(
    hasStore ? engine : undefined,
    RULES,
    SYSTEM_CLOCK,
    SILENT_LOGGER,
    metrics,
  );
  served = await serve(service);
  const { client } = served;
  const schedule = new BackupSchedule({
    engine,
    config: { full: '', incremental: '', drill: '' },
    rules: RULES,
    turns,
    metrics,
    clock: SYSTEM_CLOCK,
    logger: SILENT_LOGGER,
  });
  return { cluster, table, engine, clock, client, schedule, registry };
}

type Client = Served['client'];
const path = (method: string) => `/${BACKUPS_SERVICE}/${method}`;

async function create(client: Client): Promise<v1.Backup> {
  const request = v1.CreateBackupRequest.encode(v1.CreateBackupRequest.fromPartial({})).finish();
  let last: v1.CreateBackupProgress | undefined;
  for await (const bytes of client.serverStream(path('Create'), request)) {
    last = v1.CreateBackupProgress.decode(bytes);
  }
  if (last?.kind?.$case !== 'done') throw new Error('it does not end with what was made');
  return last.kind.value;
}

async function restore(client: Client, wish: Partial<v1.RestoreBackupRequest>) {
  const request = v1.RestoreBackupRequest.encode(
    v1.RestoreBackupRequest.fromPartial(wish),
  ).finish();
  const steps: string[] = [];
  for await (const bytes of client.serverStream(path('Restore'), request)) {
    steps.push(v1.RestoreBackupProgress.decode(bytes).kind?.$case ?? '');
  }
  return steps;
}

describe('what operators ask for', () => {
  it('a backup ends with what it holds, is listed, and restores to a name of its own', async () => {
    const { client, cluster, table } = await start();
    const made = await create(client);
    expect(made).toMatchObject({ rows: 50n, tables: [{ name: 't', revision: 50n }] });
    const list = v1.ListBackupsResponse.decode(await client.unary(path('List'), new Uint8Array(0)));
    expect(list.backups.map(({ id }) => id)).toEqual([made.id]);
    expect(await restore(client, { dryRun: true })).toEqual(['plan']);
    expect(cluster.tables.has('t-restored')).toBe(false);
    expect((await restore(client, {})).at(-1)).toBe('done');
    const restored = [...(cluster.tables.get('t-restored')?.at(1e9).keys() ?? [])];
    expect(restored).toEqual([...table.at(50).keys()].sort());
    await expect(restore(client, {})).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      message: 'as: there is a table t-restored already',
    });
  });

  it('takes the newest backup that was finished by the time that is told', async () => {
    const { client, clock, table, cluster } = await start();
    const first = await create(client);
    table.put(Buffer.from('later'), Buffer.from('x'));
    clock.nowMs += 60_000;
    await create(client);
    await restore(client, { beforeMs: first.finishedAtMs + 1n });
    expect(cluster.tables.get('t-restored')?.base).toHaveLength(50);
    const early = restore(client, { beforeMs: first.finishedAtMs - 1n, as: 'x' });
    await expect(early).rejects.toMatchObject({ code: status.NOT_FOUND });
  });

  it('is refused with the code that tells what to do', async () => {
    const { client, engine, cluster } = await start();
    await expect(restore(client, {})).rejects.toMatchObject({ code: status.NOT_FOUND });
    await expect(restore(client, { id: '../x' })).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
    });
    let letGo: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const tables = await cluster.cluster();
    cluster.cluster = async () => {
      await held;
      return tables;
    };
    const signal = AbortSignal.timeout(60_000);
    const running = engine.create(
      { kind: 'full', tables: [], parent: '' },
      signal,
      () => undefined,
    );
    await expect(create(client)).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
    letGo();
    await running;
  });

  it('is counted by how it ended, like what the schedule does', async () => {
    const { client, cluster, registry } = await start();
    await create(client);
    cluster.cluster = () => Promise.reject(new Error('no node'));
    await expect(create(client)).rejects.toMatchObject({ code: status.INTERNAL });
    const text = await registry.metrics();
    expect(text).toContain('flotilla_backup_runs_total{work="full",outcome="done"} 1');
    expect(text).toContain('flotilla_backup_runs_total{work="full",outcome="failed"} 1');
    expect(text).toContain('flotilla_backup_runs_total{work="drill",outcome="failed"} 0');
    expect(text).toMatch(/flotilla_backup_last_duration_seconds\{work="full"\} \d/);
    expect(text).toMatch(/flotilla_backup_stored_bytes [1-9]/);
  });

  it('needs a store', async () => {
    const { client } = await start(false);
    await expect(create(client)).rejects.toMatchObject({ message: 'backup.store is not set' });
  });
});

describe('the schedule', () => {
  it('begins with a full one where there is nothing to add to, and prunes what is past all rules', async () => {
    const { schedule, engine, table, clock } = await start();
    const signal = AbortSignal.timeout(60_000);
    await schedule.backup('incremental');
    table.put(Buffer.from('more'), Buffer.from('x'));
    clock.nowMs += 1_000;
    await schedule.backup('incremental');
    const kinds = async () => (await engine.list(signal)).good.map(({ kind }) => kind);
    expect(await kinds()).toEqual(['full', 'incremental']);
    clock.nowMs += 1_000;
    await schedule.backup('full');
    expect(await kinds()).toEqual(['full']);
  });

  it('drills a restore of which nothing is left, and tells when it fails', async () => {
    const { schedule, cluster, registry } = await start();
    await schedule.drill();
    expect(await registry.metrics()).toContain('flotilla_backup_drill_good 0');
    await schedule.backup('full');
    await schedule.drill();
    const text = await registry.metrics();
    expect(text).toContain('flotilla_backup_drill_good 1');
    expect(text).toContain('flotilla_backup_runs_total{work="full",outcome="done"} 1');
    expect(text).toContain('flotilla_backup_table_revision{table="t"} 50');
    expect(text).toMatch(/flotilla_backup_age_seconds \d/);
    expect([...cluster.tables.keys()]).toEqual(['t']);
    expect(cluster.shadows.size).toBe(0);
  });
});
