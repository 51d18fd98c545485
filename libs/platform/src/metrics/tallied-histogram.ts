/**
 * A histogram whose numbers are kept by its owner and only read when a scrape asks.
 *
 * In: tallies, each with its labels, added to without looking anything up. Out: the `_bucket`, `_sum`
 * and `_count` series of an ordinary histogram.
 */
import { Histogram, type Registry } from 'prom-client';
import { PlatformError } from '../platform-error.js';

/** What has been observed under one set of labels. */
export class Tally {
  /** Observations per bucket, not accumulated; the last is for what exceeds every bound. */
  readonly perBucket: Float64Array;
  sum = 0;
  count = 0;

  constructor(readonly bounds: readonly number[]) {
    this.perBucket = new Float64Array(bounds.length + 1);
  }

  add(value: number): void {
    let bucket = 0;
    while (bucket < this.bounds.length && value > (this.bounds[bucket] ?? Infinity)) bucket += 1;
    this.perBucket[bucket] = (this.perBucket[bucket] ?? 0) + 1;
    this.sum += value;
    this.count += 1;
  }
}

type HistogramValue = Awaited<ReturnType<Histogram['get']>>['values'][number];

export type Labels = Readonly<Record<string, string>>;

export interface TalliedHistogramOptions {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Upper bounds of the buckets, ascending. */
  readonly bounds: readonly number[];
  readonly registry: Registry;
  readonly series: () => Iterable<readonly [Labels, Tally]>;
}

export class TalliedHistogram extends Histogram {
  static tally(bounds: readonly number[]): Tally {
    return new Tally(bounds);
  }

  constructor(private readonly options: TalliedHistogramOptions) {
    super({
      name: options.name,
      help: options.help,
      labelNames: [...options.labelNames],
      buckets: [...options.bounds],
      registers: [options.registry],
    });
  }

  /** The text form of a registry asks by this name, its JSON form by `get`. */
  async getForPromString(): ReturnType<Histogram['get']> {
    const { name, bounds, registry } = this.options;
    const shell = registry.getMetricsAsArray().find((metric) => metric.name === name);
    if (shell === undefined) {
      throw new PlatformError('LIFECYCLE_ORDER', `${name} is in no registry any more`);
    }
    const values: HistogramValue[] = [];
    for (const [labels, tally] of this.options.series()) {
      let below = 0;
      bounds.forEach((bound, index) => {
        below += tally.perBucket[index] ?? 0;
        values.push({
          labels: { ...labels, le: bound },
          value: below,
          metricName: `${name}_bucket`,
        });
      });
      const infinite = { ...labels, le: '+Inf' };
      values.push({ labels: infinite, value: tally.count, metricName: `${name}_bucket` });
      values.push({ labels, value: tally.sum, metricName: `${name}_sum` });
      values.push({ labels, value: tally.count, metricName: `${name}_count` });
    }
    const { help, type, aggregator, collect } = shell;
    return { name, help, type, aggregator, collect, values };
  }

  override get(): ReturnType<Histogram['get']> {
    return this.getForPromString();
  }
}
