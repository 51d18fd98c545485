/**
 * A few rounds of kills under backups, with a new seed each time: what `npm run faults:backup` does for as long
 * as wanted.
 */
import { randomInt } from 'node:crypto';
import { expect, it } from 'vitest';
import { STORE_KINDS } from './backup-site.js';
import { backupReportLines } from './report.js';
import { runBackupFaults } from './run.js';

const ROUNDS = 10;
const NODES = 1;
const TEST_MS = 1_200_000;

it.each(STORE_KINDS)(
  'with kills under backups to a store of kind %s no restore is wrong, and no broken backup is listed as good',
  async (store) => {
    const seed = Number(process.env.FLOTILLA_E2E_SEED ?? randomInt(1_000_000));
    const lines: string[] = [`seed ${seed}`];
    const report = await runBackupFaults({
      seed,
      store,
      nodes: NODES,
      rounds: ROUNDS,
      forMs: Infinity,
      print: (line) => lines.push(line),
      signal: new AbortController().signal,
    });
    console.log([...lines, ...backupReportLines(report, seed)].join('\n'));
    expect(report.problems, lines.join('\n')).toEqual([]);
    expect(report.rounds).toBe(ROUNDS);
    expect(report.rows).toBeGreaterThan(0);
    expect(report.verified).toBeGreaterThanOrEqual(ROUNDS);
  },
  TEST_MS,
);
