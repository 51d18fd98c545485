/** Runs one replication benchmark to its end and prints what it measured. */
import { writeFileSync } from 'node:fs';
import { measureBootstrap } from './bootstrap.js';
import { measureCatchUp } from './catch-up.js';
import { measureIdleTables } from './idle-tables.js';
import { measureLag } from './lag.js';
import { measureReplicatedSnapshot } from './replicated-snapshot.js';
import {
  parseReplicationOptions,
  type ReplicationBench,
  REPLICATION_BENCHES,
  type ReplicationOptions,
} from './replication-options.js';
import { type Figures, figuresLine, figuresTable } from './replication-report.js';

type Measure = (options: ReplicationOptions) => Promise<Figures>;

const MEASURES: Readonly<Record<ReplicationBench, Measure>> = {
  lag: measureLag,
  'catch-up': measureCatchUp,
  bootstrap: measureBootstrap,
  'replicated-snapshot': measureReplicatedSnapshot,
  'idle-tables': measureIdleTables,
};

export function isReplicationBench(argv: readonly string[]): boolean {
  return REPLICATION_BENCHES.some((name) => argv.slice(2).includes(name));
}

/** `useDataDir` decides where servers keep their data, and refuses what is in memory. */
export async function runReplicationBench(
  argv: readonly string[],
  useDataDir: (dataDir: string | undefined) => void,
): Promise<void> {
  const options = parseReplicationOptions(argv);
  useDataDir(options.dataDir);
  const figures = await MEASURES[options.bench](options);
  const line = figuresLine(options, figures);
  console.log(`\n${figuresTable(options, figures)}\n\n${line}`);
  if (options.json !== undefined) writeFileSync(options.json, `${line}\n`);
}
