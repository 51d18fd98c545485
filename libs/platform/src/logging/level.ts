/** Log levels as the setting `log-level` names them, and what the logging library calls them. */
export const LOG_LEVELS = ['DEBUG', 'INFO', 'WARN', 'ERROR'] as const;

export type LogLevel = (typeof LOG_LEVELS)[number];

export type PinoLevel = 'debug' | 'info' | 'warn' | 'error';

const PINO_LEVELS: Readonly<Record<LogLevel, PinoLevel>> = {
  DEBUG: 'debug',
  INFO: 'info',
  WARN: 'warn',
  ERROR: 'error',
};

export function pinoLevel(level: LogLevel): PinoLevel {
  return PINO_LEVELS[level];
}
