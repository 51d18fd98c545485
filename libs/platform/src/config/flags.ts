/**
 * The flag layer, and the help text: one commander option per setting.
 *
 * In: arguments. Out: raw settings by key, the command named first, a file named by `--config`, and
 * whether help or the version was asked for instead. It never exits and never prints: what
 * commander would end the process for becomes a problem among the others.
 */
import { Command, CommanderError, Option } from 'commander';
import { type ConfigProblem, type Layer, type RawSetting, suggestion } from './problem.js';
import { isDerived, type Setting } from './setting.js';

export interface CommandDescription {
  readonly name: string;
  readonly description: string;
}

export interface Program {
  readonly name: string;
  readonly description: string;
  readonly version: string;
  /** What may be named as the first argument; the first of them is meant when nothing is. */
  readonly commands: readonly [CommandDescription, ...CommandDescription[]];
}

export interface FlagLayer extends Layer {
  readonly command: string;
  readonly configFile: string | undefined;
  readonly asked: 'run' | 'help' | 'version';
}

const BOOL_TEXT = /^(?:true|false|t|f|0|1)$/i;
const REPEATABLE = new Set<Setting['kind']>(['list', 'map']);

export function readFlags(
  program: Program,
  known: readonly Setting[],
  argv: readonly string[],
): FlagLayer {
  const settings = new Map<string, RawSetting>();
  const problems: ConfigProblem[] = [];
  let configFile: string | undefined;
  const command = buildCommand(program, known, {
    setting({ key, kind }, text) {
      const before = settings.get(key)?.raw;
      const repeated = Array.isArray(before) ? [...(before as string[]), text] : [text];
      settings.set(key, { raw: REPEATABLE.has(kind) ? repeated : text, source: `--${key}` });
    },
    configFile(path) {
      configFile = path;
    },
  });

  const operands = parse(command, withExplicitBooleans(known, argv), known, problems);
  const asked = command.opts<{ help?: boolean; version?: boolean }>();
  const name = chooseCommand(program, operands, problems);
  return {
    settings,
    problems,
    command: name,
    configFile,
    asked: asked.help === true ? 'help' : asked.version === true ? 'version' : 'run',
  };
}

export function helpText(program: Program, known: readonly Setting[]): string {
  const ignore = (): undefined => undefined;
  const command = buildCommand(program, known, { setting: ignore, configFile: ignore });
  const commands = program.commands.map((entry, index) => {
    return `  ${entry.name.padEnd(12)}${entry.description}${index === 0 ? ' (default)' : ''}`;
  });
  return `${command.helpInformation()}\nCommands:\n${commands.join('\n')}\n${HELP_FOOTER}`;
}

const HELP_FOOTER = `
Every flag is also a key of config.{yaml,json,toml} and an environment variable:
  --raft.node-host-dir=/data    raft: { node-host-dir: /data }    FLOTILLA_RAFT_NODE_HOST_DIR=/data
A flag wins over a variable, a variable over the file.
`;

interface FlagSink {
  readonly setting: (setting: Setting, text: string) => void;
  readonly configFile: (path: string) => void;
}

function buildCommand(program: Program, known: readonly Setting[], sink: FlagSink): Command {
  const command = new Command(program.name)
    .description(program.description)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    .helpOption(false)
    .usage('[command] [flags]')
    .argument('[command]')
    .allowExcessArguments();
  const general = (option: Option): Command => command.addOption(option.helpGroup('General:'));
  general(new Option('-h, --help', 'show this text'));
  general(new Option('-v, --version', 'show the version'));
  general(
    new Option('--config <file>', 'configuration file, instead of the first one found').argParser(
      sink.configFile,
    ),
  );
  for (const setting of known) {
    const section = /^(.+)\.[^.]+$/.exec(setting.key)?.[1];
    const option = new Option(`--${setting.key} ${placeholder(setting)}`, describe(setting));
    option.helpGroup(section === undefined ? 'General:' : `${section}:`);
    option.argParser((text: string) => {
      sink.setting(setting, text);
      return text;
    });
    command.addOption(option);
  }
  return command;
}

function placeholder(setting: Setting): string {
  return setting.kind === 'enum'
    ? `<${(setting.values ?? []).filter((value) => value !== '').join('|')}>`
    : `<${setting.kind}>`;
}

function describe(setting: Setting): string {
  const fallback = setting.default;
  const text = isDerived(fallback)
    ? fallback.text
    : typeof fallback === 'object'
      ? Object.values(fallback).join(',')
      : String(fallback);
  return text === '' ? setting.description : `${setting.description} (default ${text})`;
}

/** `--dev-mode` alone means true, and must not swallow the argument after it. */
function withExplicitBooleans(known: readonly Setting[], argv: readonly string[]): string[] {
  const booleans = new Set(
    known.filter((setting) => setting.kind === 'bool').map((setting) => `--${setting.key}`),
  );
  const end = argv.indexOf('--');
  return argv.map((argument, index) => {
    if (!booleans.has(argument) || (end !== -1 && index > end)) return argument;
    return BOOL_TEXT.test(argv[index + 1] ?? '') ? argument : `${argument}=true`;
  });
}

/** Parses on past what it does not know, so that every unknown flag is named. */
function parse(
  command: Command,
  argv: readonly string[],
  known: readonly Setting[],
  problems: ConfigProblem[],
): readonly string[] {
  const flags = [...known.map((setting) => `--${setting.key}`), '--config', '--help', '--version'];
  try {
    const { operands, unknown } = command.parseOptions([...argv]);
    const positional = [...operands];
    let afterUnknown = false;
    for (const argument of unknown) {
      if (argument.startsWith('-')) {
        const name = argument.split('=', 1)[0] ?? argument;
        problems.push({ source: name, message: `unknown flag${suggestion(name, flags)}` });
        afterUnknown = !argument.includes('=');
      } else {
        // What follows an unknown flag is most likely its value: the flag is complaint enough.
        if (!afterUnknown) positional.push(argument);
        afterUnknown = false;
      }
    }
    return positional;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    problems.push({ source: 'flags', message: error.message.replace(/^error: /, '') });
    return [];
  }
}

function chooseCommand(
  program: Program,
  operands: readonly string[],
  problems: ConfigProblem[],
): string {
  const [first, ...extra] = operands;
  for (const argument of extra) problems.push({ source: argument, message: 'unexpected argument' });
  if (first === undefined) return program.commands[0].name;
  const names = program.commands.map((entry) => entry.name);
  if (!names.includes(first)) {
    const message = `unknown command${suggestion(first, names)}`;
    problems.push({ source: first, message });
    return program.commands[0].name;
  }
  return first;
}
