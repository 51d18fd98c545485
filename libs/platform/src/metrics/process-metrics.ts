/**
 * What every app says about its own process beside the usual metrics of the runtime: which build
 * runs, and how late the event loop runs its timers.
 *
 * A node does all its work on one loop, and nothing may hold it for more than 10 ms: the buckets of
 * the lag show whether that is kept.
 */
import { performance } from 'node:perf_hooks';
import { Gauge, type Registry } from 'prom-client';
import { TalliedHistogram } from './tallied-histogram.js';

export interface BuildInfo {
  readonly service: string;
  readonly version: string;
}

export const BUILD_INFO_METRIC = 'flotilla_build_info';

/** Upper bounds in seconds; the third is the most that is allowed. */
const LAG_SECONDS_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5] as const;
const LAG_INTERVAL_MS = 50;
const LAG_METRIC = 'flotilla_event_loop_lag_seconds';
const LATEST_LAG_METRIC = 'flotilla_event_loop_lag_latest_seconds';

export function exposeBuildInfo(registry: Registry, build: BuildInfo): void {
  const gauge = new Gauge({
    name: BUILD_INFO_METRIC,
    help: 'Always 1; the labels say what is running.',
    labelNames: ['service', 'version', 'node_version'] as const,
    registers: [registry],
  });
  gauge.set({ ...build, node_version: process.version }, 1);
}

export interface EventLoopLag {
  /** Stops the sampling and takes the metrics out of the registry. */
  close(): void;
}

/** Samples how late a short timer fires. The timer keeps no process alive. */
export function watchEventLoopLag(registry: Registry, intervalMs = LAG_INTERVAL_MS): EventLoopLag {
  const tally = TalliedHistogram.tally(LAG_SECONDS_BUCKETS);
  let latestSeconds = 0;
  new TalliedHistogram({
    name: LAG_METRIC,
    help: 'How late timers of the event loop fired.',
    labelNames: [],
    bounds: LAG_SECONDS_BUCKETS,
    registry,
    series: () => [[{}, tally] as const],
  });
  const latest: Gauge = new Gauge({
    name: LATEST_LAG_METRIC,
    help: 'How late the last timer of the event loop fired.',
    registers: [registry],
    collect() {
      latest.set(latestSeconds);
    },
  });
  let expectedMs = performance.now() + intervalMs;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    latestSeconds = Math.max(0, nowMs - expectedMs) / 1_000;
    tally.add(latestSeconds);
    expectedMs = nowMs + intervalMs;
  }, intervalMs);
  timer.unref();
  return {
    close() {
      clearInterval(timer);
      registry.removeSingleMetric(LAG_METRIC);
      registry.removeSingleMetric(LATEST_LAG_METRIC);
    },
  };
}
