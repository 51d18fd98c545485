/**
 * What all commands share: where the cluster is, how to prove who we are, how to print.
 *
 * In: flags, and one environment variable per flag. Out: a client and an output, made when a command
 * first needs them. A malformed value is refused with the name of its flag.
 */
import { FlotillaClient } from '@flotilla/client';
import type { ClientTlsOptions } from '@flotilla/grpc';
import { Option, type Command } from 'commander';
import { UsageError } from './usage-error.js';

export const OUTPUT_FORMATS = ['simple', 'table', 'json'] as const;
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];

export interface GlobalOptions {
  readonly endpoints: string;
  readonly table?: string;
  readonly writeOut: OutputFormat;
  readonly hex: boolean;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly token?: string;
  readonly commandTimeout: number;
}

const DEFAULT_ENDPOINT = 'http://127.0.0.1:8443';
const DEFAULT_TIMEOUT = '5s';

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `5s`, `500ms`, `1m30s`; returns milliseconds. */
export function parseDuration(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)];
  const whole = parts.map(([part]) => part).join('') === text && parts.length > 0;
  if (!whole) throw new UsageError(`expected a duration such as 5s or 500ms, got "${text}"`);
  return parts.reduce(
    (sum, [, count, unit]) => sum + Number(count) * (UNITS_MS[unit ?? ''] ?? 0),
    0,
  );
}

/** The same as a parser for a flag; its error names the flag. */
export function toDuration(flag: string): (text: string) => number {
  return (text) => {
    try {
      return parseDuration(text);
    } catch (error) {
      throw error instanceof UsageError ? new UsageError(`${flag}: ${error.message}`) : error;
    }
  };
}

/** Adds the flags of all commands to the program. */
export function addGlobalOptions(program: Command): Command {
  return program
    .addOption(
      new Option('--endpoints <list>', 'addresses of nodes, separated by commas')
        .default(DEFAULT_ENDPOINT)
        .env('FLOTILLA_ENDPOINTS'),
    )
    .addOption(new Option('-t, --table <name>', 'table to work on').env('FLOTILLA_TABLE'))
    .addOption(
      new Option('-w, --write-out <format>', 'how to print answers')
        .choices(OUTPUT_FORMATS)
        .default('simple')
        .env('FLOTILLA_WRITE_OUT'),
    )
    .addOption(
      new Option('--hex', 'print keys and values as hex').default(false).env('FLOTILLA_HEX'),
    )
    .addOption(new Option('--cacert <file>', 'authorities to trust (PEM)').env('FLOTILLA_CACERT'))
    .addOption(new Option('--cert <file>', 'client certificate (PEM)').env('FLOTILLA_CERT'))
    .addOption(new Option('--key <file>', 'key of the client certificate').env('FLOTILLA_KEY'))
    .addOption(new Option('--token <text>', 'bearer token').env('FLOTILLA_TOKEN'))
    .addOption(
      new Option('--command-timeout <duration>', 'how long one call may take')
        .env('FLOTILLA_COMMAND_TIMEOUT')
        .default(parseDuration(DEFAULT_TIMEOUT), DEFAULT_TIMEOUT)
        .argParser(toDuration('--command-timeout')),
    );
}

/** The flags of a command with those of the program. */
export function globalsOf(command: Command): GlobalOptions {
  return command.optsWithGlobals<GlobalOptions>();
}

/** Certificates of the flags; undefined if there are none. */
export function tlsOf({ cacert, cert, key }: GlobalOptions): ClientTlsOptions | undefined {
  if ((cert === undefined) !== (key === undefined)) {
    throw new UsageError('--cert and --key go together');
  }
  const tls = {
    ...(cacert !== undefined && { caFile: cacert }),
    ...(cert !== undefined && { certFile: cert }),
    ...(key !== undefined && { keyFile: key }),
  };
  return Object.keys(tls).length > 0 ? tls : undefined;
}

export function connect(options: GlobalOptions): FlotillaClient {
  const endpoints = options.endpoints.split(',').map((each) => each.trim());
  const tls = tlsOf(options);
  return new FlotillaClient({
    endpoints: endpoints.map(withScheme),
    timeoutMs: options.commandTimeout,
    ...(tls && { tls }),
    ...(options.token !== undefined && { token: options.token }),
  });
}

export function withScheme(endpoint: string): string {
  if (endpoint === '') throw new UsageError('--endpoints holds an empty address');
  return /^[a-z]+:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`;
}

export function requireTable(options: GlobalOptions): string {
  if (options.table) return options.table;
  throw new UsageError('no table named: use --table NAME, or set FLOTILLA_TABLE');
}
