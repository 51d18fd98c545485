/**
 * What one run of one case against one server gave, and the medians of several.
 *
 * In: results of a load client, figures of the servers. Out: numbers per request, and ratios. A
 * "request" of an import is one pair.
 */
import { memoryMiB } from '@flotilla/e2e/figures';
import type { LoadResult } from '../load/plan.js';

export interface Measurement {
  readonly requestsPerSecond: number;
  /** Of all processes of the server. */
  readonly cpuMicrosPerRequest: number;
  /** Of a whole request; undefined where the client does not tell. */
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly clientCpuMicrosPerRequest: number;
  /** Share of one core that the client used. */
  readonly clientCorePercent: number;
  /** Of all processes of the server, before and after. */
  readonly rssBeforeMiB: number;
  readonly rssAfterMiB: number;
  /** A put's share in it: write, sync and loopback, without any server; undefined if not measured. */
  readonly floorP50Ms: number | undefined;
}

export interface Ratios {
  /** Our rate over theirs. */
  readonly rateRatio: number;
  /** Their CPU a request over ours. */
  readonly cpuRatio: number;
}

export interface Memory {
  readonly rssBeforeMiB: number;
  readonly rssAfterMiB: number;
}

export function toMeasurement(
  load: Pick<LoadResult, 'requests' | 'seconds' | 'serverCpuMicros' | 'clientCpuMicros'> & {
    readonly p50Ms: number | undefined;
    readonly p99Ms: number | undefined;
  },
  keysEach: number,
  memory: Memory,
  floorP50Ms: number | undefined,
): Measurement {
  const requests = load.requests * keysEach;
  return {
    requestsPerSecond: requests / load.seconds,
    cpuMicrosPerRequest: load.serverCpuMicros / requests,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    clientCpuMicrosPerRequest: load.clientCpuMicros / requests,
    clientCorePercent: load.clientCpuMicros / load.seconds / 1e4,
    ...memory,
    floorP50Ms,
  };
}

export function residentMiB(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + memoryMiB(pid).now, 0);
}

/** The one in the middle; of two in the middle the mean of both. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const low = sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
  const high = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  return (low + high) / 2;
}

/** Each figure by itself; memory from before the first round to after the last. */
export function medians(rounds: readonly Measurement[]): Measurement {
  const of = (pick: (each: Measurement) => number) => median(rounds.map(pick));
  const known = (pick: (each: Measurement) => number | undefined) => {
    const values = rounds.map(pick).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : median(values);
  };
  return {
    requestsPerSecond: of((each) => each.requestsPerSecond),
    cpuMicrosPerRequest: of((each) => each.cpuMicrosPerRequest),
    p50Ms: known((each) => each.p50Ms),
    p99Ms: known((each) => each.p99Ms),
    clientCpuMicrosPerRequest: of((each) => each.clientCpuMicrosPerRequest),
    clientCorePercent: of((each) => each.clientCorePercent),
    rssBeforeMiB: rounds[0]?.rssBeforeMiB ?? NaN,
    rssAfterMiB: rounds.at(-1)?.rssAfterMiB ?? NaN,
    floorP50Ms: known((each) => each.floorP50Ms),
  };
}

/** Medians of the ratios of each round: what slows a round down slows both of its servers. */
export function ratios(ours: readonly Measurement[], theirs: readonly Measurement[]): Ratios {
  const of = (ratio: (our: Measurement, their: Measurement) => number) =>
    median(ours.flatMap((our, round) => (theirs[round] ? [ratio(our, theirs[round])] : [])));
  return {
    rateRatio: of((our, their) => our.requestsPerSecond / their.requestsPerSecond),
    cpuRatio: of((our, their) => their.cpuMicrosPerRequest / our.cpuMicrosPerRequest),
  };
}
