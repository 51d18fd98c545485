/**
 * The log of an app: one JSON object a line on stdout, or lines for people in dev mode.
 *
 * In: fields and a message, fields first. Out: lines with time, level, service and component. Values
 * under names of secrets are replaced before anything is written, down to `REDACTED_DEPTH_MAX`
 * levels. Lines are written synchronously, so that the last one before a crash is there.
 */
import { type DestinationStream, type Logger as PinoLogger, pino, stdSerializers } from 'pino';
import { SECRET_MASK } from '../config/problem.js';
import { type LogLevel, pinoLevel } from './level.js';
import { formatPretty } from './pretty.js';

export type LogFields = Record<string, unknown>;

/** What libraries are handed; it fits the logger ports of the transport and of storage. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** True where a debug line would be written: ask before working out costly fields. */
  readonly debugEnabled: boolean;
  /** The same log, each line marked with the component and the fields given here. */
  child(component: string, fields?: LogFields): Logger;
}

export interface LoggerOptions {
  readonly service: string;
  readonly level: LogLevel;
  /** Lines for people instead of machines. */
  readonly pretty: boolean;
  /** Names whose values are never written, beside those every app has. */
  readonly secrets?: readonly string[];
  /** Where lines go; stdout when left out. */
  readonly destination?: DestinationStream;
}

const REDACTED_DEPTH_MAX = 4;

/** Names that hold a secret wherever they stand. */
const SECRET_NAMES = ['authorization', 'password', 'secret', 'token', 'privateKey'] as const;

export function createLogger(options: LoggerOptions): Logger {
  const stdout = options.destination ?? pino.destination({ fd: 1, sync: true });
  const colors = options.destination === undefined && process.stdout.isTTY;
  const destination = options.pretty
    ? { write: (line: string) => stdout.write(formatPretty(line, colors)) }
    : stdout;
  const log = pino(
    {
      level: pinoLevel(options.level),
      base: { service: options.service },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        err: stdSerializers.errWithCause,
        error: stdSerializers.errWithCause,
        cause: stdSerializers.errWithCause,
      },
      redact: {
        paths: redactedPaths([...SECRET_NAMES, ...(options.secrets ?? [])]),
        censor: SECRET_MASK,
      },
    },
    destination,
  );
  return new RootLogger(log);
}

/** Used where nothing is to be said, e.g. in tests. */
export const SILENT_LOGGER: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  debugEnabled: false,
  child: () => SILENT_LOGGER,
};

class RootLogger implements Logger {
  constructor(private readonly log: PinoLogger) {}

  debug(fields: LogFields, message: string): void {
    this.log.debug(fields, message);
  }

  info(fields: LogFields, message: string): void {
    this.log.info(fields, message);
  }

  warn(fields: LogFields, message: string): void {
    this.log.warn(fields, message);
  }

  error(fields: LogFields, message: string): void {
    this.log.error(fields, message);
  }

  get debugEnabled(): boolean {
    return this.log.isLevelEnabled('debug');
  }

  child(component: string, fields: LogFields = {}): Logger {
    return new RootLogger(this.log.child({ component, ...fields }));
  }
}

function redactedPaths(names: readonly string[]): string[] {
  return names.flatMap((name) =>
    Array.from({ length: REDACTED_DEPTH_MAX }, (_, depth) => {
      const parents = Array.from({ length: depth }, () => '*').join('.');
      return `${parents}["${name}"]`;
    }),
  );
}
