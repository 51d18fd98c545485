/**
 * Results for people (a table) and for programs (JSON lines, one for each case of ours).
 */
import { type Measurement, medians, ratios } from './measure/measurement.js';
import type { CaseResult } from './scenarios/run-scenario.js';

export interface ReportContext {
  /** `own` or `h2load`. */
  readonly client: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly keys: number;
}

const COLUMNS = [
  'case',
  'server',
  'req/s',
  'CPU us/req',
  'p50 ms',
  'p99 ms',
  'RSS MiB',
  'client us/req',
  'client core',
  'rate x',
  'CPU x',
] as const;

/** A client that uses more of its core than this is what limits the rate. */
const CLIENT_BOUND_PERCENT = 90;

export function table(results: readonly CaseResult[], context: ReportContext): string {
  const rows: string[][] = [[...COLUMNS]];
  const notes = new Set<string>();
  for (const { label, contenders } of results) {
    const [ours, theirs] = contenders;
    for (const contender of contenders) {
      const measured = medians(contender.rounds);
      const cells = [label, contender.name, ...figures(measured)];
      if (contender === ours && theirs) {
        const { rateRatio, cpuRatio } = ratios(ours.rounds, theirs.rounds);
        cells.push(rateRatio.toFixed(2), cpuRatio.toFixed(2));
      }
      rows.push(cells);
      if (measured.clientCorePercent > CLIENT_BOUND_PERCENT) {
        notes.add(
          `${label}, ${contender.name}: the client's core was full; compare CPU, not rates`,
        );
      }
    }
    notes.add(floorNote(label, ours?.rounds ?? []));
  }
  const { client, rounds, seconds, keys } = context;
  const name = client === 'own' ? 'our own load client' : client;
  const head = `${results[0]?.scenario}: ${keys} keys, medians of ${rounds} rounds of ${seconds} s, loaded by ${name} in a process of its own`;
  return [head, '', ...aligned(rows), ...[...notes].filter((note) => note !== '')].join('\n');
}

function floorNote(label: string, rounds: readonly Measurement[]): string {
  const { floorP50Ms, p50Ms } = medians(rounds);
  if (floorP50Ms === undefined || p50Ms === undefined) return '';
  const times = (p50Ms / floorP50Ms).toFixed(2);
  return `${label}: write + fdatasync + loopback alone take ${floorP50Ms.toFixed(3)} ms; ours takes ${times} x that`;
}

function figures(measured: Measurement): string[] {
  const ms = (value: number | undefined) => (value === undefined ? '-' : value.toFixed(3));
  return [
    Math.round(measured.requestsPerSecond).toString(),
    measured.cpuMicrosPerRequest.toFixed(2),
    ms(measured.p50Ms),
    ms(measured.p99Ms),
    `${measured.rssBeforeMiB.toFixed(0)} -> ${measured.rssAfterMiB.toFixed(0)}`,
    measured.clientCpuMicrosPerRequest.toFixed(2),
    `${measured.clientCorePercent.toFixed(0)} %`,
  ];
}

/** The first two columns to the left, all others to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = COLUMNS.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)));
  return rows.map((row) =>
    widths
      .map((width, at) =>
        at < 2 ? (row[at] ?? '').padEnd(width) : (row[at] ?? '').padStart(width),
      )
      .join('  ')
      .trimEnd(),
  );
}

export function jsonLines(results: readonly CaseResult[], context: ReportContext): string[] {
  return results.map(({ scenario, label, contenders }) => {
    const [ours, theirs] = contenders;
    if (!ours) throw new Error('nothing was measured');
    const line = {
      scenario,
      case: label,
      server: ours.name,
      ...rounded(medians(ours.rounds)),
      ...(theirs && mapped(ratios(ours.rounds, theirs.rounds))),
      ...floorRatio(medians(ours.rounds)),
      ...context,
      details: ours.details,
      ...(theirs && {
        against: {
          server: theirs.name,
          ...rounded(medians(theirs.rounds)),
          details: theirs.details,
        },
      }),
    };
    return JSON.stringify(line);
  });
}

function floorRatio({ p50Ms, floorP50Ms }: Measurement): object {
  if (p50Ms === undefined || floorP50Ms === undefined) return {};
  return mapped({ floorRatio: p50Ms / floorP50Ms });
}

/** Times that were not measured are null: every line has the same fields. */
function rounded({ p50Ms, p99Ms, ...rest }: Measurement): object {
  return { ...mapped(rest), ...mapped({ p50Ms: p50Ms ?? null, p99Ms: p99Ms ?? null }) };
}

function mapped(values: object): object {
  const entries = Object.entries(values).map(([name, value]: [string, unknown]) => [
    name,
    typeof value === 'number' ? Number(value.toPrecision(5)) : value,
  ]);
  return Object.fromEntries(entries) as object;
}
