/**
 * Makes Nest write into the app's log: hand it to `NestFactory.create(..., { logger })`.
 *
 * Nest passes the context (a class name) as the last argument and, for errors, a stack before it;
 * here they become fields. Nest's lines about every module and route it sets up are debug lines.
 */
import { type LoggerService } from '@nestjs/common';
import { type LogFields, type Logger } from './logger.js';

const BOOT_CONTEXTS = new Set([
  'InstanceLoader',
  'NestFactory',
  'NestMicroservice',
  'RouterExplorer',
  'RoutesResolver',
]);

export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    const { fields, text } = split(message, rest);
    if (BOOT_CONTEXTS.has(String(fields['context']))) this.logger.debug(fields, text);
    else this.logger.info(fields, text);
  }

  error(message: unknown, ...rest: unknown[]): void {
    const { fields, text } = split(message, rest, true);
    this.logger.error(fields, text);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    const { fields, text } = split(message, rest, true);
    this.logger.error({ ...fields, fatal: true }, text);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    const { fields, text } = split(message, rest);
    this.logger.warn(fields, text);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    const { fields, text } = split(message, rest);
    this.logger.debug(fields, text);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.debug(message, ...rest);
  }
}

function split(
  message: unknown,
  rest: readonly unknown[],
  withStack = false,
): { readonly fields: LogFields; readonly text: string } {
  const fields: LogFields = {};
  const extra = [...rest];
  const last = extra.at(-1);
  const lastIsStack = withStack && typeof last === 'string' && /^\s+at /m.test(last);
  if (typeof last === 'string' && !lastIsStack) fields['context'] = extra.pop();
  if (withStack && typeof extra.at(-1) === 'string') fields['stack'] = extra.pop();
  const meaningful = extra.filter((value) => value !== undefined);
  if (meaningful.length > 0) fields['details'] = meaningful;
  if (message instanceof Error)
    return { fields: { ...fields, err: message }, text: message.message };
  if (typeof message === 'string') return { fields, text: message };
  return { fields: { ...fields, message }, text: 'message' };
}
