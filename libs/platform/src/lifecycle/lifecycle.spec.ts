import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { SILENT_LOGGER } from '../logging/logger.js';
import { Lifecycle, type LifecycleOptions, type Resource } from './lifecycle.js';
import { EXIT_CODES, runApp, type RunningApp } from './run-app.js';

/** Time enough for a busy machine; it comes within moments. */
const WAIT = { timeout: 60_000 };

function recorder(options: LifecycleOptions = {}) {
  const seen: string[] = [];
  const lifecycle = new Lifecycle(options);
  const add = (name: string, more: Partial<Resource> = {}) =>
    lifecycle.add({
      name,
      start: () => void seen.push(`+${name}`),
      stop: () => void seen.push(`-${name}`),
      ...more,
    });
  return { seen, lifecycle, add };
}

describe('lifecycle', () => {
  it('parts start in order and stop in reverse', async () => {
    const { seen, lifecycle, add } = recorder();
    add('log');
    add('store');
    add('api');
    await lifecycle.start();
    expect(lifecycle.state).toBe('running');
    expect(await lifecycle.stop('test')).toEqual({ clean: true, failed: [] });
    expect(seen).toEqual(['+log', '+store', '+api', '-api', '-store', '-log']);
    expect(lifecycle.state).toBe('stopped');
  });

  it('stopping happens once, however often and whenever it is asked for', async () => {
    const { seen, lifecycle, add } = recorder();
    add('a');
    await lifecycle.start();
    const [first, second] = await Promise.all([lifecycle.stop('x'), lifecycle.stop('y')]);
    expect(first).toBe(second);
    expect(await lifecycle.stop('z')).toBe(first);
    expect(seen).toEqual(['+a', '-a']);
  });

  it('a part that cannot start takes down those before it, and the error is thrown', async () => {
    const { seen, lifecycle, add } = recorder();
    add('a');
    add('b', { start: () => Promise.reject(new Error('port taken')) });
    add('c');
    await expect(lifecycle.start()).rejects.toThrow('port taken');
    expect(seen).toEqual(['+a', '-a']);
  });

  it('a part that fails to stop does not keep the others open', async () => {
    const { seen, lifecycle, add } = recorder();
    add('a');
    add('b', { stop: () => Promise.reject(new Error('no')) });
    add('c');
    await lifecycle.start();
    expect(await lifecycle.stop('test')).toEqual({ clean: false, failed: ['b'] });
    expect(seen.slice(3)).toEqual(['-c', '-a']);
  });

  it('a part that hangs is passed over at the deadline', async () => {
    const { seen, lifecycle, add } = recorder({ stopDeadlineMs: 20 });
    add('a');
    add('b', { stop: () => new Promise(() => undefined) });
    await lifecycle.start();
    expect(await lifecycle.stop('test')).toEqual({ clean: false, failed: ['b'] });
    expect(seen).toContain('-a');
  });

  it('a stop during the start waits for the part under way and starts no more', async () => {
    const { seen, lifecycle, add } = recorder();
    let finish = (): void => undefined;
    add('a', { start: () => new Promise<void>((resolve) => (finish = resolve)) });
    add('b');
    const starting = lifecycle.start();
    const stopping = lifecycle.stop('test');
    finish();
    await expect(starting).rejects.toThrow('stopped while it was starting');
    expect(await stopping).toMatchObject({ clean: true });
    expect(seen).toEqual(['-a']);
  });

  it('a stop during a start that fails does not wait for itself', async () => {
    const { seen, lifecycle, add } = recorder();
    let fail = (_error: Error): void => undefined;
    add('a');
    add('b', { start: () => new Promise<void>((_, reject) => (fail = reject)) });
    const starting = lifecycle.start();
    await Promise.resolve();
    const stopping = lifecycle.stop('test');
    fail(new Error('no'));
    await expect(starting).rejects.toThrow('no');
    expect(await stopping).toMatchObject({ clean: true });
    expect(seen).toEqual(['+a', '-a']);
  });

  it('nothing can be added or started twice after the start', async () => {
    const { lifecycle, add } = recorder();
    await lifecycle.start();
    expect(() => add('late')).toThrow('cannot be added');
    await expect(lifecycle.start()).rejects.toThrow('cannot start: running');
  });
});

class FakeProcess extends EventEmitter {
  readonly exits: number[] = [];
  exit(code: number): void {
    this.exits.push(code);
  }
}

describe('process of an app', () => {
  let app: RunningApp | undefined;
  afterEach(() => app?.detach());

  async function run(more: Partial<Resource> = {}) {
    const { seen, lifecycle, add } = recorder({ stopDeadlineMs: 50 });
    add('a', more);
    const events = new FakeProcess();
    const error = vi.fn();
    const onStopping = vi.fn();
    const logger = { ...SILENT_LOGGER, error };
    app = await runApp({ lifecycle, logger, process: events, onStopping });
    return { seen, events, error, onStopping };
  }

  it.each(['SIGINT', 'SIGTERM'])('%s stops the app and ends the process with 0', async (signal) => {
    const { seen, events, onStopping } = await run();
    events.emit(signal);
    await vi.waitFor(() => expect(events.exits).toEqual([EXIT_CODES.clean]), WAIT);
    expect(seen).toEqual(['+a', '-a']);
    expect(onStopping).toHaveBeenCalledWith(signal);
  });

  it('a stop that is not clean ends the process with another code', async () => {
    const { events } = await run({ stop: () => Promise.reject(new Error('no')) });
    events.emit('SIGTERM');
    await vi.waitFor(() => expect(events.exits).toEqual([EXIT_CODES.failed]), WAIT);
  });

  it('a second signal ends the process at once', async () => {
    const { events } = await run({ stop: () => new Promise(() => undefined) });
    events.emit('SIGINT');
    expect(events.exits).toEqual([]);
    events.emit('SIGINT');
    expect(events.exits).toEqual([EXIT_CODES.interrupted]);
  });

  it.each(['uncaughtException', 'unhandledRejection'])(
    '%s is logged and ends the process without stopping anything',
    async (event) => {
      const { seen, events, error } = await run();
      const thrown = new Error('invariant broken');
      events.emit(event, thrown);
      expect(events.exits).toEqual([EXIT_CODES.crashed]);
      expect(error.mock.calls[0]?.[0]).toMatchObject({ err: thrown });
      expect(seen).toEqual(['+a']);
    },
  );

  it('a start that fails ends the process', async () => {
    const { events, error } = await run({ start: () => Promise.reject(new Error('port taken')) });
    expect(events.exits).toEqual([EXIT_CODES.failed]);
    expect(error).toHaveBeenCalledWith({ reason: 'port taken' }, expect.any(String));
  });

  it('detaching leaves no handler behind', async () => {
    const { events } = await run();
    app?.detach();
    expect(events.eventNames()).toEqual([]);
  });
});
