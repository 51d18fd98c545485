import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeConfig, formatProblem, loadConfig } from '@flotilla/platform';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kvNodeSchema } from './kv-node-config.js';
import { KV_NODE_SETTINGS } from './settings.js';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-kv-node-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function load(argv: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const inputs = { argv, environment, cwd: folder, directories: [] };
  return loadConfig(kvNodeSchema('0.0.0'), inputs);
}

function accepted(argv: readonly string[], environment: Readonly<Record<string, string>> = {}) {
  const outcome = load(argv, environment);
  if (outcome.kind === 'refused') throw new Error(outcome.problems.map(formatProblem).join('\n'));
  if (outcome.kind === 'text') throw new Error(outcome.text);
  return outcome.loaded;
}

function refused(argv: readonly string[]): readonly string[] {
  const outcome = load(argv);
  return outcome.kind === 'refused' ? outcome.problems.map(formatProblem) : [];
}

/** Sections 6.1 and 6.2 of the contract: what a leader of Regatta takes, with its defaults. */
const REGATTA_DEFAULTS: Readonly<Record<string, unknown>> = {
  'dev-mode': false,
  'log-level': 'INFO',
  'api.address': 'http://0.0.0.0:8443',
  'api.advertise-address': 'http://127.0.0.1:8443',
  'api.cert-filename': '',
  'api.key-filename': '',
  'api.ca-filename': '',
  'api.client-cert-auth': false,
  'api.allowed-cn': '',
  'api.allowed-hostname': '',
  'api.max-concurrent-connections': 0,
  'api.max-concurrent-streams': 0,
  'api.stream-workers': 0,
  'rest.address': 'http://127.0.0.1:8079',
  'rest.read-timeout': '5s',
  'raft.rtt': '50ms',
  'raft.heartbeat-rtt': 1,
  'raft.election-rtt': 20,
  'raft.snapshot-recovery-type': '',
  'raft.node-id': 1,
  'raft.initial-members': {},
  'raft.snapshot-entries': 10_000,
  'raft.compaction-overhead': 5_000,
  'raft.max-in-mem-log-size': 6_291_456,
  'raft.max-recv-queue-size': 0,
  'raft.max-send-queue-size': 0,
  'raft.logdb': 'tan',
  'memberlist.address': '0.0.0.0:7432',
  'memberlist.advertise-address': '',
  'memberlist.members': [],
  'memberlist.cluster-name': 'default',
  'memberlist.node-name': '',
  'storage.table-cache-size': 1024,
  'maintenance.enabled': true,
  'maintenance.token': '**********',
  'tables.enabled': true,
  'tables.token': '**********',
  'tables.names': [],
  'tables.delete': [],
  'replication.enabled': true,
  'replication.max-send-message-size-bytes': 4_194_304,
  'replication.address': 'http://0.0.0.0:8444',
  'replication.cert-filename': '',
  'replication.key-filename': '',
  'replication.ca-filename': '',
  'replication.client-cert-auth': false,
  'replication.log-cache-size': 0,
  'replication.allowed-cn': '',
  'replication.allowed-hostname': '',
};

/** Section 6.3 of the contract. The default names of certificates are gone: http needs none. */
const REGATTA_FOLLOWER_DEFAULTS: Readonly<Record<string, unknown>> = {
  'replication.keepalive-time': '1m0s',
  'replication.keepalive-timeout': '10s',
  'replication.cert-filename': '',
  'replication.key-filename': '',
  'replication.ca-filename': '',
  'replication.insecure-skip-verify': false,
  'replication.server-name': '',
  'replication.poll-interval': '1s',
  'replication.reconcile-interval': '30s',
  'replication.lease-interval': '15s',
  'replication.log-rpc-timeout': '1m0s',
  'replication.snapshot-rpc-timeout': '1h0m0s',
  'replication.max-recv-message-size-bytes': 8_388_608,
  'replication.max-recovery-in-flight': 1,
  'replication.max-snapshot-recv-bytes-per-second': 0,
  'replication.snapshot-source': 'auto',
};

const LEADER = 'http://leader:8444';
const FOLLOWER = ['follower', `--replication.leader-address=${LEADER}`];

/** Where we differ from Regatta on purpose, and what is ours alone. */
const OUR_DEFAULTS: Readonly<Record<string, unknown>> = {
  'storage.block-cache-size': 536_870_912,
  'maintenance.address': [],
  'maintenance.ca-filename': '',
  'maintenance.cert-filename': '',
  'maintenance.key-filename': '',
  'maintenance.server-name': '',
  'storage.version-cache-size': 67_108_864,
  'storage.range-cache-size': 33_554_432,
  'data-dir': './data',
  'raft.address': '127.0.0.1:5012',
  'raft.listen-address': '127.0.0.1:5012',
  'raft.node-host-dir': 'data/raft',
  'raft.wal-dir': 'data/raft',
  'raft.state-machine-dir': 'data/state-machine',
  'raft.join': false,
  'raft.log-bytes-max': 1_073_741_824,
  'replication.log-retention-bytes': 268_435_456,
  'replication.log-retention-time': '6h0m0s',
  'raft.cert-filename': '',
  'raft.key-filename': '',
  'raft.ca-filename': '',
  'raft.client-cert-auth': false,
  'raft.allowed-cn': '',
  'raft.allowed-hostname': '',
  'tables.replicas': 3,
  'api.transport': 'native',
  'storage.engine': 'rocksdb',
};

describe('settings of a kv-node', () => {
  it('every setting of a Regatta leader is known, with the same default; the rest is named here', () => {
    expect(describeConfig(accepted([]))).toEqual({ ...REGATTA_DEFAULTS, ...OUR_DEFAULTS });
  });

  it('every setting of a Regatta follower is known, with the same default; the rest is named here', () => {
    const ofLeaders = [
      /^tables\.(names|delete)$/,
      /^replication\.(enabled|address|client-cert-auth|log-cache-size)$/,
      /^replication\.(allowed-cn|allowed-hostname|max-send-message-size-bytes)$/,
      /^replication\.log-retention-(bytes|time)$/,
    ];
    const shared = Object.entries({ ...REGATTA_DEFAULTS, ...OUR_DEFAULTS }).filter(
      ([key]) => !ofLeaders.some((pattern) => pattern.test(key)),
    );
    expect(describeConfig(accepted(FOLLOWER))).toEqual({
      ...Object.fromEntries(shared),
      ...REGATTA_FOLLOWER_DEFAULTS,
      'replication.leader-address': [LEADER],
      'replication.token': '**********',
    });
  });

  it('a setting can be given as a flag and as a variable of either naming', () => {
    const numbers = KV_NODE_SETTINGS.filter((setting) => setting.kind === 'uint64');
    for (const { key, appliesTo } of numbers) {
      const role = appliesTo?.includes('leader') === false ? FOLLOWER : ['leader'];
      const ours = `FLOTILLA_${key.toUpperCase().replace(/[.-]/g, '_')}`;
      expect(describeConfig(accepted([...role, `--${key}=7`]))[key]).toBe(7);
      expect(describeConfig(accepted(role, { [ours]: '8' }))[key]).toBe(8);
      expect(describeConfig(accepted(role, { [key.toUpperCase()]: '9' }))[key]).toBe(9);
    }
  });

  it('a follower is told of one leader address or of several, and is a follower by that', () => {
    const one = accepted(FOLLOWER).config;
    expect([one.isFollower, one.replication.leaderAddresses]).toEqual([true, [LEADER]]);
    const two = accepted(['follower', `--replication.leader-address=${LEADER},unix:///s`]).config;
    expect(two.replication.leaderAddresses).toEqual([LEADER, 'unix:///s']);
    expect(accepted([]).config.isFollower).toBe(false);
  });

  it('one folder moves all data; each part can still be put elsewhere', () => {
    const moved = accepted(['--data-dir=/d', '--raft.wal-dir=']).config.raft;
    expect(moved).toMatchObject({ nodeHostDir: '/d/raft', walDir: '/d/raft' });
    expect(moved.stateMachineDir).toBe('/d/state-machine');
    const split = accepted([
      '--data-dir=/d',
      '--raft.node-host-dir=/n',
      '--raft.wal-dir=/w',
    ]).config;
    expect(split.raft).toMatchObject({ nodeHostDir: '/n', walDir: '/w' });
  });

  it('typed access is by section, units are in the names', () => {
    const { config } = accepted(['--rest.read-timeout=1m', '--storage.block-cache-size=1']);
    expect(config.rest.readTimeoutMs).toBe(60_000);
    expect(config.storage.blockCacheBytes).toBe(1);
    expect(config.raft.members()).toEqual(new Map([[1, '127.0.0.1:5012']]));
  });

  it('the flags of Regatta’s Java test containers are accepted', () => {
    const { config, command } = accepted([
      'leader',
      '--dev-mode',
      '--raft.address=127.0.0.1:5012',
      '--raft.initial-members=1=127.0.0.1:5012',
      '--tables.names=regatta-test',
      '--api.address=http://0.0.0.0:8443',
    ]);
    expect(command).toBe('leader');
    expect(config.tables.names).toEqual(['regatta-test']);
  });

  it('variables of the command line tool do not keep a node from starting', () => {
    const environment = { FLOTILLA_ENDPOINTS: 'a', FLOTILLA_TOKEN: 'b', FLOTILLA_TABLE: 'c' };
    expect(accepted([], environment).config.dataDir).toBe('./data');
  });

  it('members are pairs or an ordered list, in which a node finds its own number', () => {
    const members = new Map([
      [1, 'a:1'],
      [2, 'b:1'],
    ]);
    const pairs = accepted([
      '--raft.initial-members=1=a:1,2=b:1',
      '--raft.address=b:1',
      '--raft.node-id=2',
    ]);
    const list = accepted(['--raft.initial-members=a:1,b:1', '--raft.address=b:1']);
    for (const { config } of [pairs, list]) {
      expect(config.raft.members()).toEqual(members);
      expect(config.raft.nodeId).toBe(2);
    }
  });
});

describe('refused settings of a kv-node', () => {
  it.each([
    [['--raft.rtt=abc'], '--raft.rtt: expected a duration such as 50ms or 1m30s, got "abc"'],
    [['--raft.rtt=0'], '--raft.rtt: expected a duration from 1ms to 1m0s, got "0"'],
    [['--raft.election-rtt=1', '--raft.heartbeat-rtt=1'], 'raft.heartbeat-rtt, got "1"'],
    [['--raft.node-id=0'], '--raft.node-id: expected an integer of at least 1, got "0"'],
    [['--log-level=LOUD'], '--log-level: expected one of DEBUG, INFO, WARN, ERROR, got "LOUD"'],
    [
      ['--storage.engine=lsm'],
      '--storage.engine: expected one of rocksdb, lmdb, memory, got "lsm"',
    ],
    [['--api.address=8443'], 'https://host:port or unix:///path or unixs:///path, got "8443"'],
    [['--rest.address=https://a:1'], '--rest.address: expected http://host:port, got'],
    [['--raft.address=nowhere'], '--raft.address: expected host:port, got "nowhere"'],
    [['--memberlist.members=a'], '--memberlist.members: expected a list of host:port, got ["a"]'],
    [['--api.max-concurrent-streams=-1'], 'expected an integer from 0 to 4294967295, got "-1"'],
    [['--api.allowed-cn=a', '--api.allowed-hostname=b'], 'together with api.allowed-hostname'],
    [['--api.cert-filename=a'], '--api.cert-filename: needs api.key-filename to be set too'],
    [['--api.client-cert-auth'], '--api.client-cert-auth: needs api.ca-filename to be set too'],
    [['--api.address=https://a:1'], 'needs api.cert-filename and api.key-filename to be set too'],
    [['--raft.initial-members=0=a:1'], 'expected number=host:port pairs or a list of host:port'],
    [['--raft.initial-members=a:1,b:1'], 'expected to hold this node, its raft.node-id with its'],
    [['--data-dir='], '--data-dir: expected a folder, got ""'],
    [
      ['--replication.leader-address=http://a:1'],
      '--replication.leader-address: applies to follower only, not to leader',
    ],
    [['follower'], 'replication.leader-address: must be set for follower'],
    [
      ['follower', '--replication.leader-address=a:8444'],
      '--replication.leader-address: expected one or more of http://host:port, https://host:port',
    ],
    [['follower', '--replication.log-rpc-timeout=0'], 'expected a duration from 1ms to 24h0m0s'],
    [[...FOLLOWER, '--tables.names=a'], '--tables.names: applies to leader, recover only, not to'],
  ])('%j is refused by name and reason', (argv, text) => {
    const problems = refused(argv);
    expect(
      problems.some((problem) => problem.includes(text)),
      problems.join('\n'),
    ).toBe(true);
  });

  it('all problems of a file are listed with the file and the key', () => {
    const path = join(folder, 'bad.yaml');
    writeFileSync(path, 'raft:\n  rtt: abc\n  election-rtt: many\ntables:\n  tokn: x\n');
    expect(refused(['--config', path])).toEqual([
      `${path}: tables.tokn: unknown setting, did you mean tables.token?`,
      `${path}: raft.rtt: expected a duration such as 50ms or 1m30s, got "abc"`,
      `${path}: raft.election-rtt: expected an integer, got "many"`,
    ]);
  });
});
