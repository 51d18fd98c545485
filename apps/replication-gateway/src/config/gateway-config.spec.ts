import { describeConfig, loadConfig, type LoadedConfig } from '@flotilla/platform';
import { describe, expect, it } from 'vitest';
import { offeredEncodings } from './compression.js';
import { type GatewayConfig, gatewaySchema } from './gateway-config.js';

function load(
  argv: readonly string[],
  environment: Record<string, string> = {},
  role: 'leader' | 'follower' = 'leader',
) {
  const inputs = { argv: [role, ...argv], environment, cwd: '/', directories: [] };
  return loadConfig(gatewaySchema('1.2.3'), inputs);
}

function accepted(
  argv: readonly string[],
  environment = {},
  role: 'leader' | 'follower' = 'leader',
): LoadedConfig<GatewayConfig> {
  const outcome = load(argv, environment, role);
  if (outcome.kind !== 'loaded') throw new Error(`refused: ${JSON.stringify(outcome)}`);
  return outcome.loaded;
}

describe('settings of a gateway', () => {
  it('that Regatta has too have its names and defaults', () => {
    expect(describeConfig(accepted([]))).toMatchObject({
      'replication.address': 'http://0.0.0.0:8444',
      'replication.max-send-message-size-bytes': 4_194_304,
      'replication.client-cert-auth': false,
      'log-level': 'INFO',
    });
  });

  it('say how attached gateways are served, packed and told that this one lives', () => {
    const { replication } = accepted([]).config;
    expect(replication).toMatchObject({ heartbeatIntervalMs: 1_000, compression: 'snappy' });
    const flags = ['--replication.heartbeat-interval=50ms', '--replication.compression=none'];
    const other = accepted(flags).config.replication;
    expect(other).toMatchObject({ heartbeatIntervalMs: 50, compression: 'none' });
    expect(offeredEncodings('zstd')).toEqual(['zstd', 'snappy']);
    expect(offeredEncodings('snappy')).toEqual(['snappy', 'zstd']);
    expect(offeredEncodings('none')).toEqual([]);
  });

  it('name several nodes, and hide what is secret', () => {
    const addresses = ['http://a:8443', 'https://b:8443'];
    const loaded = accepted([`--cluster.addresses=${addresses.join(',')}`, '--cluster.token=abc']);
    expect(loaded.config.cluster).toMatchObject({ addresses, token: 'abc' });
    expect(JSON.stringify(describeConfig(loaded))).not.toContain('abc');
  });

  it('of the command line tool may stand in the same environment', () => {
    const loaded = accepted([], { FLOTILLA_TOKEN: 'x', FLOTILLA_CLUSTER_ADDRESSES: 'http://a:1' });
    expect(loaded.config.cluster.addresses).toEqual(['http://a:1']);
  });

  it.each([
    ['--cluster.addresses=a:8443'],
    ['--replication.heartbeat-interval=49ms'],
    ['--replication.compression=gzip'],
    ['--cluster.addresses='],
    ['--cluster.cert-filename=a'],
    ['--replication.address=https://a:1'],
    ['--replication.max-send-message-size-bytes=1'],
    ['--data-dir=/d'],
    ['--replication.leader-address=http://a:8444'],
    ['--replication.poll-interval=1s'],
  ])('%s is refused', (flag) => {
    expect(load([flag]).kind).not.toBe('loaded');
  });
});

describe('settings of a gateway in a follower cluster', () => {
  const LEADER = '--replication.leader-address=http://a:8444,http://b:8444';
  const follower = (...argv: string[]) => accepted([LEADER, ...argv], {}, 'follower');

  it('have the names of those of a follower of Regatta', () => {
    expect(describeConfig(follower())).toMatchObject({
      'replication.leader-address': ['http://a:8444', 'http://b:8444'],
      'replication.poll-interval': '1s',
      'replication.reconcile-interval': '500ms',
      'replication.lease-interval': '750ms',
      'replication.log-rpc-timeout': '1m0s',
      'replication.snapshot-rpc-timeout': '1h0m0s',
      'replication.max-recovery-in-flight': 1,
      'replication.max-snapshot-recv-bytes-per-second': 0,
      'replication.max-recv-message-size-bytes': 8_388_608,
    });
  });

  it('B28: need no certificates for a leader cluster without TLS, and an address with its scheme', () => {
    const { certFilename, keyFilename, caFilename } = follower().config.replication;
    expect([certFilename, keyFilename, caFilename]).toEqual(['', '', '']);
    const outcome = load(['--replication.leader-address=localhost:8444'], {}, 'follower');
    expect(outcome.kind).not.toBe('loaded');
    expect(JSON.stringify(outcome)).toContain('replication.leader-address');
  });

  it('show and trust certificates, and hide the token', () => {
    const files = ['cert', 'key', 'ca'].map((file) => `--replication.${file}-filename=/x`);
    const loaded = follower(...files, '--replication.token=abc', '--replication.server-name=l');
    expect(loaded.config.replication).toMatchObject({ certFilename: '/x', token: 'abc' });
    expect(JSON.stringify(describeConfig(loaded))).not.toContain('abc');
  });

  it.each([
    [[]],
    [['--replication.leader-address=a:8444']],
    [[LEADER, '--replication.address=http://a:1']],
    [[LEADER, '--replication.lease-interval=10ms']],
    [[LEADER, '--replication.lease-interval=3m']],
    [[LEADER, '--replication.max-recovery-in-flight=0']],
  ])('%j are refused', (flags) => {
    expect(load(flags, {}, 'follower').kind).not.toBe('loaded');
  });
});
