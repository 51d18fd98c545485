/** A report of backups under kills as lines for a person: what was done and killed, what was compared, what was wrong. */
import { type BackupFaultsReport } from './run.js';

export function backupReportLines(report: BackupFaultsReport, seed: number): string[] {
  const { rounds, interrupted, kills, cleanedRuns, writes, unknownWrites, problems } = report;
  const killed = [...kills].sort(([one], [other]) => (one < other ? -1 : 1));
  return [
    `seed ${seed}: ${rounds} rounds, ${interrupted} of them interrupted`,
    `work / killed: ${killed.map(([name, count]) => `${name} ${count}`).join(', ')}`,
    `${writes} writes acknowledged, ${unknownWrites} of unknown outcome; ${report.rows} rows compared ` +
      `one by one, ${report.hashes} restored tables by hash; ${report.verified} times a backup was ` +
      `read and good; ${cleanedRuns} dead runs cleaned up`,
    ...problems.map((what) => `PROBLEM ${what}`),
    ...report.folders.map((folder) => `kept: ${folder}`),
    problems.length === 0 ? 'no problem' : `${problems.length} problems`,
  ];
}
