/** Results of the replication benchmarks for people (a table) and for programs (one JSON line). */
import type { ReplicationOptions } from './replication-options.js';

export type Figures = Readonly<Record<string, number>>;

export function figuresTable(options: ReplicationOptions, figures: Figures): string {
  const { bench, nodes, linkDelayMs } = options;
  const head = `${bench}: a leader cluster of ${nodes}, a follower cluster of 1, ${linkDelayMs} ms between them each way`;
  return [head, '', ...figureRows(figures)].join('\n');
}

/** One line for each figure, for people. */
export function figureRows(figures: Figures): readonly string[] {
  const width = Math.max(...Object.keys(figures).map(({ length }) => length));
  return Object.entries(figures).map(
    ([name, value]) => `${name.padEnd(width)}  ${shown(value).padStart(12)}`,
  );
}

export function figuresLine(options: ReplicationOptions, figures: Figures): string {
  const { bench, nodes, linkDelayMs } = options;
  return JSON.stringify({ scenario: bench, nodes, linkDelayMs, ...roundedFigures(figures) });
}

/** As they stand in a JSON line. */
export function roundedFigures(figures: Figures): Figures {
  const rounded = Object.entries(figures).map(([name, value]) => [
    name,
    Number(value.toPrecision(5)),
  ]);
  return Object.fromEntries(rounded) as Figures;
}

/** `leader node 1` as the beginning of a field's name. */
export function fieldOf(name: string): string {
  return name.replace(/ ([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

function shown(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(2);
}
