import 'reflect-metadata';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from 'class-transformer';
import { ValidateNested } from 'class-validator';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  AddressesByNumber,
  DurationBetween,
  Flag,
  HostAndPort,
  IntegerBetween,
  NotTogetherWith,
  OneOf,
  ServiceUrl,
  Text,
  TextList,
} from './constraints.js';
import { describeConfig, describeSources } from './describe.js';
import {
  type ConfigOutcome,
  type ConfigSchema,
  formatRefusal,
  loadConfig,
  loadConfigOrExit,
} from './load.js';
import { formatProblem } from './problem.js';
import { defineSettings, derivedDefault, type Setting } from './setting.js';

class RaftSection {
  @DurationBetween(1, 60_000) readonly rttMs: number = 0;
  @HostAndPort() readonly address: string = '';
  @IntegerBetween(1, 100) readonly electionRtt: number = 0;
  @Text() readonly nodeHostDir: string = '';
  @AddressesByNumber() readonly initialMembers: Readonly<Record<string, string>> = {};
}

class ApiSection {
  @ServiceUrl() readonly address: string = '';
  @NotTogetherWith('allowedHostname') @Text() readonly allowedCn: string = '';
  @Text() readonly allowedHostname: string = '';
}

class TablesSection {
  @Flag() readonly enabled: boolean = false;
  @Text() readonly token: string = '';
  @TextList() readonly names: readonly string[] = [];
}

class TestConfig {
  @Text() readonly dataDir: string = '';
  @Flag() readonly devMode: boolean = false;
  @OneOf(['DEBUG', 'INFO']) readonly logLevel: string = '';
  @ValidateNested() @Type(() => RaftSection) readonly raft: RaftSection = new RaftSection();
  @ValidateNested() @Type(() => ApiSection) readonly api: ApiSection = new ApiSection();
  @ValidateNested() @Type(() => TablesSection) readonly tables: TablesSection = new TablesSection();
}

const SETTINGS: readonly Setting[] = defineSettings([
  { key: 'data-dir', kind: 'path', default: './data', description: 'all data' },
  { key: 'dev-mode', kind: 'bool', default: false, description: 'for people' },
  { key: 'log-level', kind: 'enum', values: ['DEBUG', 'INFO'], default: 'INFO', description: 'l' },
  { key: 'raft.rtt', kind: 'duration', default: '50ms', description: 'round trip' },
  { key: 'raft.address', kind: 'host-port', default: '127.0.0.1:5012', description: 'own' },
  { key: 'raft.election-rtt', kind: 'int', default: 20, description: 'election' },
  {
    key: 'raft.node-host-dir',
    kind: 'path',
    default: derivedDefault('<data-dir>/raft', (values) => join(values.text('data-dir'), 'raft')),
    description: 'log folder',
  },
  { key: 'raft.initial-members', kind: 'map', numbered: true, default: {}, description: 'first' },
  { key: 'api.address', kind: 'url', default: 'http://0.0.0.0:8443', description: 'clients' },
  { key: 'api.allowed-cn', kind: 'string', default: '', description: 'cn' },
  { key: 'api.allowed-hostname', kind: 'string', default: '', description: 'hostname' },
  { key: 'tables.enabled', kind: 'bool', default: true, description: 'tables' },
  { key: 'tables.token', kind: 'string', default: '', secret: true, description: 'token' },
  { key: 'tables.names', kind: 'list', default: [], description: 'names', appliesTo: ['leader'] },
]);

const SCHEMA: ConfigSchema<TestConfig> = {
  program: {
    name: 'testnode',
    description: 'A node for tests',
    version: '1.2.3',
    commands: [
      { name: 'leader', description: 'takes writes' },
      { name: 'follower', description: 'takes none' },
    ],
  },
  settings: SETTINGS,
  type: TestConfig,
  reservedEnvironment: ['FLOTILLA_ENDPOINTS', 'FLOTILLA_CLI_*'],
};

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flotilla-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

interface Given {
  readonly argv?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly directories?: readonly string[];
}

function load(given: Given = {}): ConfigOutcome<TestConfig> {
  const { argv = [], environment = {}, directories = ['.'] } = given;
  return loadConfig(SCHEMA, { argv, environment, cwd: folder, directories });
}

function accepted(given: Given = {}) {
  const outcome = load(given);
  if (outcome.kind === 'refused') throw new Error(formatRefusal('test', outcome.problems));
  if (outcome.kind === 'text') throw new Error('text instead of a configuration');
  return outcome.loaded;
}

function refused(given: Given): readonly string[] {
  const outcome = load(given);
  if (outcome.kind !== 'refused') throw new Error(`was not refused but ${outcome.kind}`);
  return outcome.problems.map(formatProblem);
}

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, text);
  return path;
}

describe('layers', () => {
  it('a node without any input runs on its defaults, derived ones included', () => {
    const { config, command, file } = accepted();
    expect(config.raft.rttMs).toBe(50);
    expect(config.raft.nodeHostDir).toBe('data/raft');
    expect(config.tables).toEqual({ enabled: true, token: '', names: [] });
    expect(config).toBeInstanceOf(TestConfig);
    expect(config.raft).toBeInstanceOf(RaftSection);
    expect({ command, file }).toEqual({ command: 'leader', file: undefined });
  });

  it('a flag wins over a variable, a variable over the file, the file over the default', () => {
    write('config.yaml', 'raft: {rtt: 1s, election-rtt: 30, address: "f:1"}\ndata-dir: /file\n');
    const { config, resolved } = accepted({
      argv: ['--raft.rtt=3s'],
      environment: { FLOTILLA_RAFT_RTT: '2s', FLOTILLA_RAFT_ELECTION_RTT: '31' },
    });
    expect(config.raft).toMatchObject({ rttMs: 3000, electionRtt: 31, address: 'f:1' });
    expect(config.raft.nodeHostDir).toBe('/file/raft');
    const sources = ['raft.rtt', 'raft.election-rtt', 'raft.address', 'raft.node-host-dir'].map(
      (key) => resolved.get(key)?.source,
    );
    const derived = 'default (<data-dir>/raft)';
    expect(sources).toEqual(['--raft.rtt', 'FLOTILLA_RAFT_ELECTION_RTT', 'config.yaml', derived]);
  });

  it('the loaded configuration cannot be changed, at any depth', () => {
    const { config } = accepted();
    expect(() => Object.assign(config.raft, { rttMs: 1 })).toThrow(TypeError);
    expect(() => Object.assign(config.tables.names, ['x'])).toThrow(TypeError);
  });

  it('every problem of every layer is listed at once', () => {
    write('config.yaml', 'raft: {rtt: abc, rt: 1}\nlog-level: LOUD\n');
    const problems = refused({
      argv: ['--api.adress=x', '--raft.election-rtt=101'],
      environment: { FLOTILLA_RAFT_ADRESS: 'x', 'RAFT.ADDRESS': 'nonsense' },
    });
    expect(problems).toEqual([
      'config.yaml: raft.rt: unknown setting, did you mean raft.rtt?',
      'FLOTILLA_RAFT_ADRESS: unknown variable, did you mean FLOTILLA_RAFT_ADDRESS?',
      '--api.adress: unknown flag, did you mean --api.address?',
      'config.yaml: raft.rtt: expected a duration such as 50ms or 1m30s, got "abc"',
      'config.yaml: log-level: expected one of DEBUG, INFO, got "LOUD"',
      'RAFT.ADDRESS: raft.address: expected host:port, got "nonsense"',
      '--raft.election-rtt: expected an integer from 1 to 100, got "101"',
    ]);
  });

  it('a setting of another command is refused by name', () => {
    const problems = refused({ argv: ['follower', '--tables.names=a'] });
    expect(problems).toEqual(['--tables.names: applies to leader only, not to follower']);
  });

  it('two settings that exclude each other are refused with both names', () => {
    const problems = refused({ argv: ['--api.allowed-cn=a', '--api.allowed-hostname=b'] });
    expect(problems).toEqual([
      '--api.allowed-cn: cannot be set together with api.allowed-hostname',
    ]);
  });
});

describe('files', () => {
  it.each([
    ['config.yaml', 'raft:\n  rtt: 7ms\n  initial-members: {1: "a:1", 2: "b:2"}\n'],
    ['config.yml', 'raft.rtt: 7ms\nraft:\n  initial-members: ["a:1", "b:2"]\n'],
    ['config.json', '{"raft": {"rtt": "7ms", "initial-members": "1=a:1,2=b:2"}}'],
    ['config.toml', '[raft]\nrtt = "7ms"\n[raft.initial-members]\n1 = "a:1"\n2 = "b:2"\n'],
  ])('%s is read, nested or dotted', (name, text) => {
    write(name, text);
    const { config } = accepted();
    expect(config.raft.rttMs).toBe(7);
    expect(config.raft.initialMembers).toEqual({ 1: 'a:1', 2: 'b:2' });
  });

  it('the first folder that holds a file wins and later ones are not read', () => {
    const first = join(write('first/config.yaml', 'data-dir: /first'), '..');
    const second = join(write('second/config.yaml', 'nonsense: true'), '..');
    const { config, file } = accepted({ directories: ['/nowhere', first, second] });
    expect(config.dataDir).toBe('/first');
    expect(file).toBe(join(first, 'config.yaml'));
  });

  it('a file named by flag or variable is the only one read', () => {
    write('config.yaml', 'nonsense: 1');
    const named = write('other.json', '{"data-dir": "/named"}');
    expect(accepted({ argv: ['--config', named] }).config.dataDir).toBe('/named');
    expect(accepted({ argv: ['--config=other.json'] }).config.dataDir).toBe('/named');
    const environment = { FLOTILLA_CONFIG: named };
    expect(accepted({ environment }).config.dataDir).toBe('/named');
  });

  it('a named file that is missing, of another kind or not well formed is refused', () => {
    write('bad.yaml', 'raft: [unclosed\n');
    write('bad.ini', 'x=1');
    write('twice.yaml', 'raft.rtt: 1s\nraft: {rtt: 2s}\n');
    write('list.yaml', '- 1\n');
    write('section.yaml', 'raft: true\ntables: \n');
    expect(refused({ argv: ['--config=gone.yaml'] })[0]).toMatch(/^gone.yaml: cannot be read: /);
    expect(refused({ argv: ['--config=bad.yaml'] })[0]).toMatch(/^bad.yaml: is not YAML: /);
    expect(refused({ argv: ['--config=bad.ini'] })[0]).toMatch(/^bad.ini: expected one of .yaml/);
    expect(refused({ argv: ['--config=list.yaml'] })).toEqual([
      'list.yaml: expected settings by name',
    ]);
    expect(refused({ argv: ['--config=twice.yaml'] })).toEqual([
      'twice.yaml: raft.rtt: given twice, once nested and once dotted',
    ]);
    expect(refused({ argv: ['--config=section.yaml'] })).toEqual([
      'section.yaml: raft: is a section: expected settings below it',
    ]);
  });

  it('two files in one folder are refused rather than chosen between', () => {
    write('config.yaml', 'data-dir: /a');
    write('config.json', '{}');
    expect(refused({})).toEqual([
      'config.yaml and config.json: both exist: keep one, or name one with --config',
    ]);
  });

  it('an unsigned integer beyond what a number holds is refused, not rounded', () => {
    write('config.yaml', 'raft.election-rtt: 9007199254740993');
    expect(refused({})).toEqual([
      'config.yaml: raft.election-rtt: expected an integer, got 9007199254740993',
    ]);
  });
});

describe('environment', () => {
  it('ours and Regatta’s names are both read, ours wins, empty means not set', () => {
    const both = { FLOTILLA_RAFT_RTT: '1s', 'RAFT.RTT': '2s', 'RAFT.ELECTION-RTT': '9' };
    const { config } = accepted({ environment: { ...both, FLOTILLA_DATA_DIR: '' } });
    expect(config.raft).toMatchObject({ rttMs: 1000, electionRtt: 9 });
    expect(config.dataDir).toBe('./data');
  });

  it('reserved variables and those without our prefix are left alone', () => {
    const environment = { FLOTILLA_ENDPOINTS: 'x', FLOTILLA_CLI_COLOR: '1', RAFT_RTT: 'abc' };
    expect(accepted({ environment }).config.raft.rttMs).toBe(50);
  });
});

describe('flags', () => {
  it('values follow after an equals sign or a space, booleans stand alone', () => {
    const { config, command } = accepted({
      argv: ['--dev-mode', 'follower', '--raft.rtt', '1s', '--tables.enabled=false'],
    });
    expect(command).toBe('follower');
    expect(config.devMode).toBe(true);
    expect(config.raft.rttMs).toBe(1000);
    expect(config.tables.enabled).toBe(false);
    const spaced = accepted({ argv: ['--tables.enabled', 'false', '--dev-mode'] }).config;
    expect([spaced.tables.enabled, spaced.devMode]).toEqual([false, true]);
  });

  it('lists and maps take commas and repetition; of a scalar the last one counts', () => {
    const { config } = accepted({
      argv: [
        ...['--tables.names=a,b', '--tables.names', 'c', '--raft.rtt=1s', '--raft.rtt=2s'],
        ...['--raft.initial-members=1=a:1', '--raft.initial-members=7=b:2'],
      ],
    });
    expect(config.tables.names).toEqual(['a', 'b', 'c']);
    expect(config.raft.initialMembers).toEqual({ 1: 'a:1', 7: 'b:2' });
    expect(config.raft.rttMs).toBe(2000);
  });

  it('unknown flags, commands and arguments are all named, and a missing value too', () => {
    expect(refused({ argv: ['leder', 'extra', '--raft.rt', '1s', '--zzzzzzzzzz'] })).toEqual([
      '--raft.rt: unknown flag, did you mean --raft.rtt?',
      '--zzzzzzzzzz: unknown flag',
      'extra: unexpected argument',
      'leder: unknown command, did you mean leader?',
    ]);
    expect(refused({ argv: ['--raft.rtt'] })[0]).toMatch(/--raft\.rtt <duration>.*missing/);
  });

  it('help groups the settings by section and shows their defaults', () => {
    const outcome = load({ argv: ['--help'] });
    const text = outcome.kind === 'text' ? outcome.text : '';
    expect(text).toMatch(/Usage: testnode \[command\] \[flags\]/);
    expect(text).toMatch(/\nraft:\n {2}--raft.rtt <duration> +round trip \(default 50ms\)/);
    expect(text).toContain('(default <data-dir>/raft)');
    expect(text).toMatch(/leader +takes writes \(default\)/);
    expect(text).toContain('FLOTILLA_RAFT_NODE_HOST_DIR');
    expect(load({ argv: ['-v'] })).toEqual({ kind: 'text', text: 'testnode 1.2.3\n' });
  });
});

describe('description', () => {
  it('secrets are masked whether they are set or not, and never quoted in complaints', () => {
    const loaded = accepted({ argv: ['--tables.token=hush'] });
    expect(loaded.config.tables.token).toBe('hush');
    expect(describeConfig(loaded)['tables.token']).toBe('**********');
    expect(describeConfig(accepted())['tables.token']).toBe('**********');
    expect(JSON.stringify(describeConfig(loaded))).not.toContain('hush');
    write('config.yaml', 'tables: {token: [hush]}');
    expect(refused({})).toEqual(['config.yaml: tables.token: expected text, got **********']);
  });

  it('every setting is described flat under its dotted key, in the user’s notation', () => {
    const loaded = accepted({ argv: ['--raft.rtt=30.5s', '--tables.names=a'] });
    const described = describeConfig(loaded);
    expect(Object.keys(described)).toEqual(SETTINGS.map((setting) => setting.key));
    expect(described).toMatchObject({ 'raft.rtt': '30.5s', 'tables.names': ['a'] });
    expect(describeSources(loaded)['raft.rtt']).toBe('--raft.rtt');
  });
});

describe('process edge', () => {
  it('problems go to stderr with exit code 2, help to stdout with 0', () => {
    const run = (argv: readonly string[]) => {
      const out = { stdout: '', stderr: '', code: -1 };
      const edge = {
        argv: ['node', 'main.js', ...argv],
        env: {},
        cwd: () => folder,
        stdout: { write: (text: string) => (out.stdout += text) },
        stderr: { write: (text: string) => (out.stderr += text) },
        exit: (code: number): never => {
          out.code = code;
          throw new Error('exit');
        },
      };
      expect(() => loadConfigOrExit(SCHEMA, edge)).toThrow('exit');
      return out;
    };
    expect(run(['--raft.rtt=x', '--dev-mode=maybe'])).toEqual({
      stdout: '',
      stderr: [
        'testnode: 2 problems in the configuration',
        '  --dev-mode: expected true or false, got "maybe"',
        '  --raft.rtt: expected a duration such as 50ms or 1m30s, got "x"',
        '',
      ].join('\n'),
      code: 2,
    });
    expect(run(['--help'])).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('schema', () => {
  it('settings that clash, or do not fit the class, are a defect that throws', () => {
    const base = { kind: 'string', default: '', description: '' } as const;
    expect(() =>
      defineSettings([
        { ...base, key: 'a.b' },
        { ...base, key: 'a-b' },
      ]),
    ).toThrow(/FLOTILLA_A_B/);
    expect(() => defineSettings([{ ...base, key: 'A' }])).toThrow(/lower-case/);
    const inputs = { argv: [], environment: {}, cwd: folder, directories: [] };
    const extra = [...SETTINGS, { ...base, key: 'raft.extra' }];
    expect(() => loadConfig({ ...SCHEMA, settings: extra }, inputs)).toThrow(/raft.extra/);
    const fewer = SETTINGS.filter((setting) => setting.key !== 'raft.rtt');
    expect(() => loadConfig({ ...SCHEMA, settings: fewer }, inputs)).toThrow(/raft.rttMs/);
  });
});
