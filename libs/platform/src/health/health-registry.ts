/**
 * Whether the app is alive and whether it should be sent work, as the sum of named checks that
 * features register.
 *
 * In: checks, each with a deadline. Out: reports on demand, and a call to listeners whenever the
 * readiness changes. A check that hangs fails at its deadline and is not started again until its
 * first run has ended, so that a stuck disk does not collect stuck checks.
 */
import { performance } from 'node:perf_hooks';
import { type Logger, SILENT_LOGGER } from '../logging/logger.js';
import { PlatformError } from '../platform-error.js';

/** Failed liveness asks for a restart; failed readiness only keeps work away. */
export type HealthKind = 'liveness' | 'readiness';

export interface HealthCheck {
  readonly name: string;
  readonly kind: HealthKind;
  /** How long an answer may take; `CHECK_DEADLINE_MS` when left out. */
  readonly deadlineMs?: number;
  /** Throws or rejects where something is wrong; the message is shown to operators. */
  check(signal: AbortSignal): void | Promise<void>;
}

export interface CheckResult {
  readonly name: string;
  readonly kind: HealthKind;
  readonly healthy: boolean;
  /** Why it is not healthy; empty where it is. */
  readonly reason: string;
  readonly durationMs: number;
}

export interface HealthReport {
  readonly healthy: boolean;
  readonly results: readonly CheckResult[];
}

export type ReadinessListener = (ready: boolean) => void;

export const CHECK_DEADLINE_MS = 1_000;
const CHECKS_MAX = 256;
const POLL_INTERVAL_MS = 1_000;

interface Entry {
  readonly check: HealthCheck;
  running: Promise<string> | undefined;
}

export class HealthRegistry {
  private readonly entries = new Map<string, Entry>();
  private readonly listeners = new Set<ReadinessListener>();
  private timer: NodeJS.Timeout | undefined;
  private draining = '';
  private ready: boolean | undefined;

  constructor(private readonly logger: Logger = SILENT_LOGGER) {}

  /** Adds a check; the returned function takes it out again. A name can be taken once. */
  register(check: HealthCheck): () => void {
    if (this.entries.has(check.name) || this.entries.size >= CHECKS_MAX) {
      const reason = this.entries.has(check.name) ? 'is taken' : `is beyond ${CHECKS_MAX} checks`;
      throw new PlatformError('LIFECYCLE_ORDER', `health check ${check.name} ${reason}`);
    }
    this.entries.set(check.name, { check, running: undefined });
    return () => void this.entries.delete(check.name);
  }

  /** Runs the checks of one kind, or all of them. Ready is only what is also alive. */
  async run(kind: HealthKind | 'all' = 'all'): Promise<HealthReport> {
    const chosen = [...this.entries.values()].filter(
      ({ check }) => kind !== 'liveness' || check.kind === 'liveness',
    );
    const results = await Promise.all(chosen.map((entry) => runEntry(entry)));
    if (kind !== 'liveness' && this.draining !== '') {
      const reason = this.draining;
      results.push({ name: 'shutdown', kind: 'readiness', healthy: false, reason, durationMs: 0 });
    }
    const report = { healthy: results.every((result) => result.healthy), results };
    if (kind !== 'liveness') this.publish(report);
    return report;
  }

  /** From now on not ready, whatever the checks say: the app is going away. */
  drain(reason = 'shutting down'): void {
    this.draining = reason;
    this.publish({ healthy: false, results: [] });
  }

  /** Told at once where readiness is known, and then at every change of it. */
  onReadiness(listener: ReadinessListener): () => void {
    this.listeners.add(listener);
    if (this.ready !== undefined) listener(this.ready);
    return () => void this.listeners.delete(listener);
  }

  /** Looks at readiness from time to time, so that listeners learn of changes nobody asked for. */
  watch(intervalMs = POLL_INTERVAL_MS): void {
    if (this.timer !== undefined) return;
    let underWay = false;
    this.timer = setInterval(() => {
      if (underWay) return;
      underWay = true;
      this.run('readiness').then(
        () => (underWay = false),
        (error: unknown) => {
          underWay = false;
          this.logger.error({ err: error }, 'health checks could not be run');
        },
      );
    }, intervalMs);
    this.timer.unref();
  }

  close(): void {
    clearInterval(this.timer);
    this.timer = undefined;
    this.listeners.clear();
  }

  private publish(report: HealthReport): void {
    // A run that began before the drain must not announce readiness after it.
    const ready = report.healthy && this.draining === '';
    if (ready === this.ready) return;
    this.ready = ready;
    const failing = report.results.filter((result) => !result.healthy);
    const fields = { failing: failing.map(({ name, reason }) => `${name}: ${reason}`) };
    if (ready) this.logger.info({}, 'ready');
    else this.logger.warn(this.draining === '' ? fields : { reason: this.draining }, 'not ready');
    for (const listener of this.listeners) listener(ready);
  }
}

async function runEntry(entry: Entry): Promise<CheckResult> {
  const { name, kind, deadlineMs = CHECK_DEADLINE_MS } = entry.check;
  const startedMs = performance.now();
  const abort = new AbortController();
  entry.running ??= startCheck(entry, abort.signal);
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${deadlineMs} ms`), deadlineMs);
  });
  const reason = await Promise.race([entry.running, deadline]);
  clearTimeout(timer);
  if (reason !== '') abort.abort();
  const durationMs = performance.now() - startedMs;
  return { name, kind, healthy: reason === '', reason, durationMs };
}

/** Resolves with why the check failed, or with nothing; never rejects. */
async function startCheck(entry: Entry, signal: AbortSignal): Promise<string> {
  try {
    await entry.check.check(signal);
    return '';
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return text === '' ? 'failed' : text;
  } finally {
    // A check that throws at once gets here before the assignment that made it the running one.
    queueMicrotask(() => (entry.running = undefined));
  }
}
