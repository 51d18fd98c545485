/** What is made of the figures of several rounds. */
import { describe, expect, it } from 'vitest';
import { type Measurement, median, medians, ratios, toMeasurement } from './measurement.js';

const memory = { rssBeforeMiB: 1, rssAfterMiB: 2 };

function round(rate: number, cpu: number, rss = 1): Measurement {
  return {
    requestsPerSecond: rate,
    cpuMicrosPerRequest: cpu,
    p50Ms: undefined,
    p99Ms: rate / 10,
    clientCpuMicrosPerRequest: 1,
    clientCorePercent: 1,
    rssBeforeMiB: rss,
    rssAfterMiB: rss + 1,
    floorP50Ms: undefined,
  };
}

describe('a median', () => {
  it.each([
    [[5], 5],
    [[9, 1, 5], 5],
    [[10, 2, 4, 100], 7],
  ])('of %j is %i, in whatever order', (numbers, expected) => {
    expect(median(numbers)).toBe(expected);
    expect(median([...numbers].reverse())).toBe(expected);
  });

  it('is taken of each figure, and of memory the two ends', () => {
    const all = medians([round(10, 3, 100), round(30, 1, 200), round(20, 2, 300)]);
    expect(all).toMatchObject({ requestsPerSecond: 20, cpuMicrosPerRequest: 2, p99Ms: 2 });
    expect(all).toMatchObject({ rssBeforeMiB: 100, rssAfterMiB: 301 });
    expect(all.p50Ms).toBeUndefined();
  });
});

describe('ratios', () => {
  it('are ours over theirs in rate, theirs over ours in CPU', () => {
    expect(ratios([round(40, 5)], [round(10, 15)])).toEqual({ rateRatio: 4, cpuRatio: 3 });
  });

  it('compare rounds with each other: a slow minute changes nothing', () => {
    const ours = [round(40, 5), round(4, 50), round(40, 5)];
    const theirs = [round(10, 10), round(1, 100), round(10, 10)];
    expect(ratios(ours, theirs)).toEqual({ rateRatio: 4, cpuRatio: 2 });
  });
});

it('CPU and rate of a batch are those of its pairs, its times its own', () => {
  const load = {
    requests: 10,
    seconds: 2,
    serverCpuMicros: 6_400,
    clientCpuMicros: 640,
    p50Ms: 3,
    p99Ms: 4,
  };
  expect(toMeasurement(load, 64, memory, undefined)).toEqual({
    requestsPerSecond: 320,
    cpuMicrosPerRequest: 10,
    p50Ms: 3,
    p99Ms: 4,
    clientCpuMicrosPerRequest: 1,
    clientCorePercent: 0.032,
    rssBeforeMiB: 1,
    rssAfterMiB: 2,
    floorP50Ms: undefined,
  });
});
