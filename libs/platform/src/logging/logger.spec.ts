import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions } from './logger.js';
import { NestLogger } from './nest-logger.js';
import { formatPretty } from './pretty.js';

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger({
    service: 'test',
    level: 'INFO',
    pretty: false,
    destination: { write: (line: string) => void lines.push(line) },
    ...options,
  });
  const entries = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { logger, lines, entries };
}

describe('log', () => {
  it('a line is one JSON object with time, level, service, component and fields', () => {
    const { logger, lines, entries } = capture();
    logger.child('raft', { group: 7 }).info({ term: 3 }, 'elected');
    expect(lines[0]?.endsWith('\n')).toBe(true);
    const { time, ...rest } = entries()[0] ?? {};
    expect(rest).toEqual({
      level: 'info',
      service: 'test',
      component: 'raft',
      group: 7,
      term: 3,
      msg: 'elected',
    });
    expect(new Date(String(time)).toISOString()).toBe(time);
  });

  it('lines below the level are not written, and debug fields need not be worked out', () => {
    const { logger, entries } = capture({ level: 'WARN' });
    logger.debug({}, 'a');
    logger.info({}, 'b');
    logger.warn({}, 'c');
    logger.error({}, 'd');
    expect(entries().map((entry) => entry['msg'])).toEqual(['c', 'd']);
    expect(logger.debugEnabled).toBe(false);
    expect(capture({ level: 'DEBUG' }).logger.child('x').debugEnabled).toBe(true);
  });

  it('secrets are masked at every depth looked at, under the names of settings too', () => {
    const { logger, lines } = capture({ secrets: ['tables.token', 'maintenance.token'] });
    logger.info({ token: 'hush' }, 'top');
    logger.info({ a: { token: 'hush', b: { authorization: 'hush' } } }, 'nested');
    logger.info({ config: { 'tables.token': 'hush' }, 'maintenance.token': 'hush' }, 'dotted');
    logger.info({ a: { b: { c: { password: 'hush' } } } }, 'deep');
    logger.child('x', { secret: 'hush' }).info({}, 'bound');
    expect(lines).toHaveLength(5);
    expect(lines.join('')).not.toContain('hush');
    expect(lines.join('').match(/\*{10}/g)).toHaveLength(7);
  });

  it('an error keeps its code, stack and cause', () => {
    const { logger, entries } = capture();
    const error = Object.assign(new Error('no', { cause: new Error('disk') }), { code: 'FULL' });
    logger.error({ err: error }, 'failed');
    expect(entries()[0]?.['err']).toMatchObject({ message: 'no', code: 'FULL' });
    expect(JSON.stringify(entries()[0]?.['err'])).toContain('disk');
  });
});

describe('log for people', () => {
  it('a line has clock, level, component, message and fields, stacks stand below', () => {
    const { logger, lines } = capture({ pretty: true });
    logger.child('raft').info({ term: 3, peers: ['a'] }, 'elected');
    logger.error({ err: new Error('no') }, 'failed');
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}raft: elected {2}term=3 peers=\["a"\]\n$/,
    );
    expect(lines[1]).toMatch(/^[\d:.]+ ERROR failed\n {4}Error: no\n {8}at /);
  });

  it('what is no line of the log is shown as it is', () => {
    expect(formatPretty('plain text\n', false)).toBe('plain text\n');
    expect(formatPretty('5', false)).toBe('5');
  });

  it('colors are used only where they are asked for', () => {
    const line = JSON.stringify({
      level: 'warn',
      time: '2026-01-01T00:00:00.000Z',
      msg: 'm',
      a: 1,
    });
    expect(formatPretty(line, true)).toContain('\u001b[33mWARN');
    expect(formatPretty(line, false)).not.toContain('\u001b');
  });
});

describe('log of Nest', () => {
  it('context and stack become fields, set-up chatter becomes debug', () => {
    const { logger, entries } = capture({ level: 'DEBUG' });
    const nest = new NestLogger(logger);
    nest.log('mapped', 'RouterExplorer');
    nest.log('hello', 'Feature');
    nest.warn('careful', { a: 1 }, 'Feature');
    nest.error('broke', 'Error: x\n    at y', 'Feature');
    nest.error(new Error('thrown'), 'Feature');
    nest.log({ some: 'object' });
    nest.fatal('end');
    const seen = entries().map(({ time: _time, service: _service, ...rest }) => rest);
    expect(seen).toMatchObject([
      { level: 'debug', context: 'RouterExplorer', msg: 'mapped' },
      { level: 'info', context: 'Feature', msg: 'hello' },
      { level: 'warn', context: 'Feature', details: [{ a: 1 }] },
      { level: 'error', context: 'Feature', stack: 'Error: x\n    at y', msg: 'broke' },
      { level: 'error', context: 'Feature', msg: 'thrown', err: { message: 'thrown' } },
      { level: 'info', message: { some: 'object' } },
      { level: 'error', fatal: true, msg: 'end' },
    ]);
  });
});
