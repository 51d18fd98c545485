import { describeConfig, loadConfig, type LoadedConfig } from '@flotilla/platform';
import { describe, expect, it } from 'vitest';
import { type GatewayConfig, gatewaySchema } from './gateway-config.js';

function load(argv: readonly string[], environment: Record<string, string> = {}) {
  const inputs = { argv: ['leader', ...argv], environment, cwd: '/', directories: [] };
  return loadConfig(gatewaySchema('1.2.3'), inputs);
}

function accepted(argv: readonly string[], environment = {}): LoadedConfig<GatewayConfig> {
  const outcome = load(argv, environment);
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
    ['--cluster.addresses='],
    ['--cluster.cert-filename=a'],
    ['--replication.address=https://a:1'],
    ['--replication.max-send-message-size-bytes=1'],
    ['--data-dir=/d'],
  ])('%s is refused', (flag) => {
    expect(load([flag]).kind).not.toBe('loaded');
  });
});
