/**
 * Ties an app's lifecycle to its process: signals, crashes, exit codes.
 *
 * SIGINT or SIGTERM stops the app and ends the process, with 0 where all stopped cleanly; a second
 * signal ends it at once. What nobody caught ends it at once too, after one line in the log: nothing
 * is flushed or closed then, because after a broken invariant no more may be written.
 */
import { type Logger } from '../logging/logger.js';
import { HeapRoom } from './heap-room.js';
import { type Lifecycle } from './lifecycle.js';

export const EXIT_CODES = {
  clean: 0,
  /** Could not start, or did not stop cleanly. */
  failed: 1,
  /** Something was thrown that nobody caught. */
  crashed: 70,
  /** 128 and the number of the signal, as a shell reports it. */
  interrupted: 130,
  terminated: 143,
} as const;

const STOP_SIGNALS = { SIGINT: EXIT_CODES.interrupted, SIGTERM: EXIT_CODES.terminated } as const;

type StopSignal = keyof typeof STOP_SIGNALS;

/** What is needed of the process; `process` itself fits. */
export interface ProcessEvents {
  on(event: string, listener: (...values: unknown[]) => void): unknown;
  off(event: string, listener: (...values: unknown[]) => void): unknown;
  exit(code: number): void;
}

export interface RunOptions {
  readonly lifecycle: Lifecycle;
  readonly logger: Logger;
  readonly process?: ProcessEvents;
  /** That of this process, where something else has to say to it. */
  readonly heapRoom?: HeapRoom;
  /** Called when a stop begins, e.g. to take readiness away before anything is closed. */
  readonly onStopping?: (reason: string) => void;
}

export interface RunningApp {
  /** Stops the app and ends the process, as a signal would. */
  shutdown(reason: string): Promise<void>;
  /** Takes the handlers off the process again. */
  detach(): void;
}

/**
 * Installs the handlers, then starts the app. A start that fails ends the process with
 * `EXIT_CODES.failed`; what went wrong is in the log.
 */
export async function runApp(options: RunOptions): Promise<RunningApp> {
  const { lifecycle, logger, process: events = process } = options;
  let stopping = false;
  const heapRoom = options.heapRoom ?? new HeapRoom();

  const shutdown = async (reason: string): Promise<void> => {
    stopping = true;
    options.onStopping?.(reason);
    const report = await lifecycle.stop(reason);
    events.exit(report.clean ? EXIT_CODES.clean : EXIT_CODES.failed);
  };
  const crash = (what: string) => (error: unknown) => {
    logger.error({ err: error, fatal: true }, `${what}: ending at once`);
    events.exit(EXIT_CODES.crashed);
  };
  const onSignal = (signal: StopSignal) => () => {
    if (stopping) {
      logger.warn({ signal }, 'second signal: ending at once');
      events.exit(STOP_SIGNALS[signal]);
      return;
    }
    shutdown(signal).catch(crash('the shutdown failed'));
  };
  const handlers: readonly (readonly [string, (...values: unknown[]) => void])[] = [
    ['SIGINT', onSignal('SIGINT')],
    ['SIGTERM', onSignal('SIGTERM')],
    ['uncaughtException', crash('uncaught exception')],
    ['unhandledRejection', crash('unhandled rejection')],
  ];
  for (const [event, handler] of handlers) events.on(event, handler);
  const detach = (): void => {
    heapRoom.close();
    for (const [event, handler] of handlers) events.off(event, handler);
  };

  try {
    await lifecycle.start();
  } catch (error) {
    // A signal during the start has its own way out; a failed start has been logged by its part.
    if (!stopping) {
      const reason = error instanceof Error ? error.message : String(error);
      logger.error({ reason }, 'ending, because the start failed');
      events.exit(EXIT_CODES.failed);
    }
  }
  return { shutdown, detach };
}
