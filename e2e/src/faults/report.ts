/** A report of a round as lines for a person: totals, the verdict of each table, what was wrong. */
import { type Report } from './round.js';

export function reportLines(report: Report, seed: number): string[] {
  const faults = [...report.faults].map(([kind, count]) => `${kind} ${count}`).join(', ');
  const tables = [...report.tables];
  const sum = (of: (figures: (typeof tables)[number][1]) => number) =>
    tables.reduce((total, [, figures]) => total + of(figures), 0);
  const lines = [
    `seed ${seed}: ${report.episodes} episodes; faults: ${faults || 'none'}`,
    `${sum((each) => each.operations)} operations, ${sum((each) => each.acknowledged)} acknowledged ` +
      `writes, ${sum((each) => each.reads)} reads, ${sum((each) => each.failed)} certainly not done, ` +
      `${sum((each) => each.unknown)} unknown`,
  ];
  for (const [table, figures] of tables) {
    const { generations, keys, judged, longestGapMs } = figures;
    const isWrong = report.violations.some((what) => what.includes(`table ${table}`));
    lines.push(
      `table ${table}: ${isWrong ? 'NOT LINEARIZABLE OR NOT WELL' : 'linearizable'}; ${generations} ` +
        `generations, ${keys} histories of keys, ${judged} operations judged; longest gap without ` +
        `an acknowledged write ${longestGapMs.toFixed(0)} ms`,
    );
  }
  for (const what of report.violations) lines.push(`VIOLATION ${what}`);
  if (report.folder !== undefined) lines.push(`kept: ${report.folder}`);
  const count = report.violations.length;
  lines.push(count === 0 ? 'no violation' : `${count} violations`);
  return lines;
}
