/**
 * A short round of faults on real processes, with a new seed each time: what `npm run faults` does for
 * minutes.
 */
import { randomInt } from 'node:crypto';
import { expect, it } from 'vitest';
import { reportLines } from './report.js';
import { runRound } from './round.js';
import { FAULT_KINDS } from './schedule.js';

const FAULTS_MS = 20_000;
const CLIENTS = 12;
/** What says that the round was one, on the slowest machine. */
const ACKNOWLEDGED_LEAST = 20;
/** A replaced node may take its time on such a one. */
const TEST_MS = 600_000;

it(
  'under faults of all kinds every history is linearizable, and nothing acknowledged is lost',
  async () => {
    const seed = Number(process.env.FLOTILLA_E2E_SEED ?? randomInt(1_000_000));
    const lines: string[] = [`seed ${seed}`];
    const report = await runRound({
      seed,
      forMs: FAULTS_MS,
      episodesMax: Infinity,
      kinds: FAULT_KINDS,
      clients: CLIENTS,
      keepHistories: false,
      print: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    console.log(reportLines(report, seed).join('\n'));
    expect(report.violations, lines.join('\n')).toEqual([]);
    for (const [table, { acknowledged, judged }] of report.tables) {
      expect(acknowledged, `writes to table ${table}`).toBeGreaterThan(ACKNOWLEDGED_LEAST);
      expect(judged, `judged of table ${table}`).toBeGreaterThan(acknowledged);
    }
  },
  TEST_MS,
);
