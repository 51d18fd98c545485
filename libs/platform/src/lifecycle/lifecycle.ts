/**
 * Starts the parts of an app in order and stops them in reverse.
 *
 *   new ──start()──> starting ──> running ──stop()──> stopping ──> stopped
 *                        └─ a part fails: those started are stopped, the failure is thrown
 *
 * Stopping happens once, however often it is asked for. A part that fails to stop, or takes longer
 * than its share, is logged and passed over: those below it still have to be closed.
 */
import { performance } from 'node:perf_hooks';
import { type Logger, SILENT_LOGGER } from '../logging/logger.js';
import { PlatformError } from '../platform-error.js';

export interface Resource {
  readonly name: string;
  start?(): void | Promise<void>;
  /** Called only where `start` has returned. `deadlineMs` is the time that is left. */
  stop?(deadlineMs: number): void | Promise<void>;
}

export interface StopReport {
  /** Whether every part stopped without an error and in time. */
  readonly clean: boolean;
  readonly failed: readonly string[];
}

export interface LifecycleOptions {
  readonly logger?: Logger;
  /** For all parts together. */
  readonly stopDeadlineMs?: number;
}

type Phase = 'new' | 'starting' | 'running' | 'stopping' | 'stopped';

const STOP_DEADLINE_MS = 30_000;
/** Even a part that is reached after the deadline gets a moment to let go of what it holds. */
const STOP_SHARE_MIN_MS = 100;
const RESOURCES_MAX = 256;

export class Lifecycle {
  private readonly resources: Resource[] = [];
  private readonly started: Resource[] = [];
  private readonly logger: Logger;
  private readonly stopDeadlineMs: number;
  private phase: Phase = 'new';
  private stopping: Promise<StopReport> | undefined;
  private starting: Promise<void> | undefined;

  constructor(options: LifecycleOptions = {}) {
    this.logger = options.logger ?? SILENT_LOGGER;
    this.stopDeadlineMs = options.stopDeadlineMs ?? STOP_DEADLINE_MS;
  }

  get state(): Phase {
    return this.phase;
  }

  /** Adds a part, to be started after those added before it. */
  add(resource: Resource): this {
    if (this.phase !== 'new' || this.resources.length >= RESOURCES_MAX) {
      throw new PlatformError('LIFECYCLE_ORDER', `${resource.name} cannot be added any more`);
    }
    this.resources.push(resource);
    return this;
  }

  /** Starts all parts; when one fails, or a stop comes in between, what had started is stopped. */
  start(): Promise<void> {
    if (this.phase !== 'new') {
      return Promise.reject(new PlatformError('LIFECYCLE_ORDER', `cannot start: ${this.phase}`));
    }
    this.phase = 'starting';
    this.starting = this.startAll();
    return this.starting;
  }

  /** Stops what was started, in reverse. Every call gets the same answer. */
  stop(reason: string): Promise<StopReport> {
    this.stopping ??= this.stopAll(reason);
    return this.stopping;
  }

  private async startAll(): Promise<void> {
    for (const resource of this.resources) {
      if (this.stopping !== undefined) break;
      const sinceMs = performance.now();
      try {
        await resource.start?.();
      } catch (error) {
        this.logger.error({ resource: resource.name, err: error }, 'could not start');
        // A stop that waits for this start must not be waited for in turn.
        if (this.stopping === undefined) {
          this.starting = undefined;
          await this.stop(`${resource.name} could not start`);
        }
        throw error;
      }
      this.started.push(resource);
      const tookMs = Math.round(performance.now() - sinceMs);
      this.logger.debug({ resource: resource.name, tookMs }, 'started');
    }
    if (this.stopping !== undefined) {
      throw new PlatformError('LIFECYCLE_ORDER', 'stopped while it was starting');
    }
    this.phase = 'running';
  }

  private async stopAll(reason: string): Promise<StopReport> {
    // A part in the middle of its start cannot be stopped: wait until it is through.
    if (this.starting !== undefined) await Promise.allSettled([this.starting]);
    this.phase = 'stopping';
    this.logger.info({ reason }, 'stopping');
    const endMs = performance.now() + this.stopDeadlineMs;
    const failed: string[] = [];
    for (const resource of this.started.reverse()) {
      const leftMs = Math.max(STOP_SHARE_MIN_MS, endMs - performance.now());
      try {
        await withDeadline(resource, leftMs);
        this.logger.debug({ resource: resource.name }, 'stopped');
      } catch (error) {
        failed.push(resource.name);
        this.logger.error({ resource: resource.name, err: error }, 'did not stop cleanly');
      }
    }
    this.phase = 'stopped';
    this.logger.info({ failed }, 'stopped');
    return { clean: failed.length === 0, failed };
  }
}

async function withDeadline(resource: Resource, deadlineMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    const text = `${resource.name} did not stop within ${Math.round(deadlineMs)} ms`;
    timer = setTimeout(() => reject(new PlatformError('DEADLINE', text)), deadlineMs);
  });
  try {
    await Promise.race([resource.stop?.(deadlineMs), deadline]);
  } finally {
    clearTimeout(timer);
  }
}
