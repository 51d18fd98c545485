/**
 * The configuration of an app, from arguments and environment to a frozen typed object.
 *
 *   arguments ──> flags ──┐
 *   variables ──> env  ───┼──> resolve ──> validate ──> LoadedConfig
 *   files ──────> file ───┘        └── every problem of every stage ──> refused
 *
 * `loadConfig` decides and never exits; `loadConfigOrExit` is its edge to the process: help and
 * version on stdout with exit code 0, problems on stderr with exit code 2.
 */
import { readEnvironment, type Environment } from './environment.js';
import { configDirectories, findConfigFile, readConfigFile } from './file.js';
import { helpText, type Program, readFlags } from './flags.js';
import { type ConfigProblem, formatProblem, type Layer } from './problem.js';
import { appliesTo, resolveSettings, type ResolvedSetting } from './resolve.js';
import { CONFIG_FILE_VARIABLE, type Setting } from './setting.js';
import { type ConfigClass, validateConfig } from './validate.js';

export interface ConfigSchema<T extends object> {
  readonly program: Program;
  readonly settings: readonly Setting[];
  readonly type: ConfigClass<T>;
  /** Variables with our prefix that belong to other programs; `NAME*` stands for a prefix. */
  readonly reservedEnvironment: readonly string[];
}

export interface ConfigInputs {
  /** Arguments without the interpreter and the script. */
  readonly argv: readonly string[];
  readonly environment: Environment;
  readonly cwd: string;
  /** Folders searched for a file; those of `configDirectories` when left out. */
  readonly directories?: readonly string[];
}

export interface LoadedConfig<T extends object> {
  readonly config: T;
  readonly command: string;
  /** The file that was read, if there was one. */
  readonly file: string | undefined;
  /** The settings that apply to the command, in the order of the schema. */
  readonly resolved: ReadonlyMap<string, ResolvedSetting>;
}

export type ConfigOutcome<T extends object> =
  | { readonly kind: 'loaded'; readonly loaded: LoadedConfig<T> }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'refused'; readonly problems: readonly ConfigProblem[] };

const EMPTY_LAYER: Layer = { settings: new Map(), problems: [] };

export const EXIT_CODE_CONFIG = 2;

export function loadConfig<T extends object>(
  schema: ConfigSchema<T>,
  inputs: ConfigInputs,
): ConfigOutcome<T> {
  const { settings, program } = schema;
  const flags = readFlags(program, settings, inputs.argv);
  if (flags.asked === 'help') return { kind: 'text', text: helpText(program, settings) };
  if (flags.asked === 'version') {
    return { kind: 'text', text: `${program.name} ${program.version}\n` };
  }
  const environment = readEnvironment(inputs.environment, settings, schema.reservedEnvironment);
  const file = readFileLayer(schema, inputs, flags.configFile);
  const resolution = resolveSettings(settings, [file.layer, environment, flags], flags.command);
  const validation = validateConfig(schema.type, resolution.resolved, resolution.malformed);
  const problems = [
    ...file.layer.problems,
    ...environment.problems,
    ...flags.problems,
    ...resolution.problems,
    ...(validation.kind === 'refused' ? validation.problems : []),
  ];
  if (validation.kind === 'refused' || problems.length > 0) return { kind: 'refused', problems };
  const { config } = validation;
  const { command } = flags;
  const own = [...resolution.resolved].filter(([, entry]) => appliesTo(entry.setting, command));
  const resolved = new Map(own);
  return { kind: 'loaded', loaded: { config, command, file: file.path, resolved } };
}

function readFileLayer<T extends object>(
  schema: ConfigSchema<T>,
  inputs: ConfigInputs,
  named: string | undefined,
): { readonly layer: Layer; readonly path: string | undefined } {
  const variable = inputs.environment[CONFIG_FILE_VARIABLE];
  const path = named ?? (variable === '' ? undefined : variable);
  if (path !== undefined) {
    return { layer: readConfigFile(path, inputs.cwd, schema.settings), path };
  }
  const directories = inputs.directories ?? configDirectories(inputs.environment['HOME']);
  const found = findConfigFile(directories, inputs.cwd);
  switch (found.kind) {
    case 'file':
      return { layer: readConfigFile(found.path, inputs.cwd, schema.settings), path: found.path };
    case 'ambiguous':
      return { layer: { ...EMPTY_LAYER, problems: [found.problem] }, path: undefined };
    case 'none':
      return { layer: EMPTY_LAYER, path: undefined };
  }
}

/** What `loadConfigOrExit` needs of the process; `process` itself fits. */
export interface ProcessEdge {
  readonly argv: readonly string[];
  readonly env: Environment;
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown };
  cwd(): string;
  exit(code: number): never;
}

export function loadConfigOrExit<T extends object>(
  schema: ConfigSchema<T>,
  edge: ProcessEdge = process,
): LoadedConfig<T> {
  const outcome = loadConfig(schema, {
    argv: edge.argv.slice(2),
    environment: edge.env,
    cwd: edge.cwd(),
  });
  switch (outcome.kind) {
    case 'loaded':
      return outcome.loaded;
    case 'text':
      edge.stdout.write(outcome.text);
      return edge.exit(0);
    case 'refused':
      edge.stderr.write(formatRefusal(schema.program.name, outcome.problems));
      return edge.exit(EXIT_CODE_CONFIG);
  }
}

export function formatRefusal(program: string, problems: readonly ConfigProblem[]): string {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const lines = problems.map((problem) => `  ${formatProblem(problem)}`);
  return [`${program}: ${count} in the configuration`, ...lines, ''].join('\n');
}
