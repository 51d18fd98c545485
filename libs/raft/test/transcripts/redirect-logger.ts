/**
 * The output of a transcript: what commands print, and what the replicas log, in one buffer.
 *
 * A level silences the log lines below it; `none` silences everything. Errors that a command
 * returns are not written here and so are never silenced.
 */
import type { LazyText, Logger } from '../../src/core/index.js';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'fatal', 'none'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export function parseLogLevel(name: string): LogLevel {
  const level = LOG_LEVELS.find((each) => each === name.toLowerCase());
  if (level === undefined) throw new Error(`log levels must be either of ${LOG_LEVELS.join(' ')}`);
  return level;
}

export class RedirectLogger implements Logger {
  level: LogLevel = 'debug';
  private buffer = '';

  get text(): string {
    return this.buffer;
  }

  get isQuiet(): boolean {
    return this.level === 'none';
  }

  clear(): void {
    this.buffer = '';
  }

  write(text: string): void {
    if (!this.isQuiet) this.buffer += text;
  }

  /** Runs `task`; the lines it writes are indented by two spaces. */
  indented(task: () => void): void {
    const before = this.buffer;
    this.buffer = '';
    try {
      task();
    } finally {
      const lines = this.buffer.split('\n');
      if (lines.at(-1) === '') lines.pop();
      this.buffer = before + lines.map((line) => `  ${line}\n`).join('');
    }
  }

  debug(text: LazyText): void {
    this.log('debug', text);
  }

  info(text: LazyText): void {
    this.log('info', text);
  }

  warning(text: LazyText): void {
    this.log('warn', text);
  }

  error(text: LazyText): void {
    this.log('error', text);
  }

  fatal(text: LazyText): void {
    this.log('fatal', text);
  }

  private log(level: LogLevel, text: LazyText): void {
    if (LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(this.level)) return;
    this.write(`${level.toUpperCase()} ${text()}\n`);
  }
}
