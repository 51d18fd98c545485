import { describeConfig, loadConfig, type LoadedConfig } from '@flotilla/platform';
import { describe, expect, it } from 'vitest';
import { type MaintenanceConfig, maintenanceSchema } from './maintenance-config.js';

function load(argv: readonly string[]) {
  const inputs = { argv: ['leader', ...argv], environment: {}, cwd: '/', directories: [] };
  return loadConfig(maintenanceSchema('1.2.3'), inputs);
}

function accepted(argv: readonly string[]): LoadedConfig<MaintenanceConfig> {
  const outcome = load(argv);
  if (outcome.kind !== 'loaded') throw new Error(`refused: ${JSON.stringify(outcome)}`);
  return outcome.loaded;
}

describe('settings of the maintenance app', () => {
  it('have defaults that serve, and hide what is secret', () => {
    const loaded = accepted(['--maintenance.token=abc', '--cluster.token=def']);
    expect(loaded.config.maintenance.address).toBe('http://0.0.0.0:8445');
    expect(JSON.stringify(describeConfig(loaded))).not.toMatch(/abc|def/);
  });

  it('name stores, keys and times', () => {
    const { config } = accepted([
      '--backup.store=s3://backups/prod?region=eu-central-1',
      '--backup.key-files=2026=/run/keys/2026',
      '--backup.key-id=2026',
      '--backup.log-shipping=5s',
      '--schedule.full=0 3 * * 0',
      '--schedule.incremental=0 * * * *',
    ]);
    expect(config.backup).toMatchObject({
      keyId: '2026',
      keyFiles: { 2026: '/run/keys/2026' },
      logShippingMs: 5_000,
    });
    expect(config.schedule).toMatchObject({ incremental: '0 * * * *', drill: '' });
  });

  it('have logs shipped only to a store, and not more often than every second', () => {
    const store = '--backup.store=file:///backups';
    expect(load([store, '--backup.log-shipping=1s']).kind).toBe('loaded');
    expect(load([store, '--backup.log-shipping=999ms']).kind).not.toBe('loaded');
    expect(load([store, '--backup.log-shipping=2h']).kind).not.toBe('loaded');
    expect(load(['--backup.log-shipping=1s']).kind).not.toBe('loaded');
  });

  it.each([
    '--backup.store=/backups',
    '--backup.store=s3://id:secret@backups',
    '--backup.key-id=2026',
    '--backup.chunk-bytes=10',
    '--backup.tables-at-once=0',
    '--schedule.full=every day',
    '--retention.keep-last=0',
    '--retention.unfinished=1m',
    '--maintenance.address=https://0.0.0.0:8445',
    '--maintenance.address=unixs:///run/maintenance.sock',
    '--maintenance.client-cert-auth',
    '--cluster.cert-filename=/tls/node.crt',
  ])('%s is refused', (flag) => {
    expect(load([flag]).kind).not.toBe('loaded');
  });
});
