/**
 * `npm run bench -- SCENARIO`: starts what it measures, loads it, prints a table and JSON lines.
 *
 * This process leads: it starts servers and clients and does nothing while a measurement runs.
 * Exit codes: 0 measured, 1 something failed or an answer was wrong.
 */
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { isBackupBench, runBackupBench } from './backup/run-backup.js';
import { runH2load } from './load/h2load.js';
import { runLoad } from './load/load-client.js';
import { type Options, parseOptions } from './options.js';
import { isReplicationBench, runReplicationBench } from './replication/run-replication.js';
import { jsonLines, table } from './report.js';
import { type Contender, runScenario } from './scenarios/run-scenario.js';
import { startEtcd } from './servers/etcd-server.js';
import { startFlotilla } from './servers/flotilla-server.js';
import { findEtcd, findH2load } from './tools/debian-program.js';

/** `f_type` of file systems in memory, where a sync costs nothing. */
const IN_MEMORY = [0x01021994, 0x858458f6];

async function main(options: Options): Promise<void> {
  useDataDir(options.dataDir);
  const program = options.client === 'h2load' ? findH2load() : undefined;
  const context = {
    client: options.client,
    rounds: options.rounds,
    seconds: options.seconds,
    keys: options.keys,
  };
  const results = await runScenario(options.scenario, contenders(options), {
    ...context,
    load: (plan) => (program ? runH2load(program, plan) : runLoad(plan)),
    say: (line) => console.error(line),
  });
  const lines = jsonLines(results, context).join('\n');
  console.log(`\n${table(results, context)}\n\n${lines}`);
  if (options.json !== undefined) writeFileSync(options.json, `${lines}\n`);
}

function contenders({ against, engine, transport, etcd, profile }: Options): readonly Contender[] {
  const profileDir = profile === undefined ? undefined : resolve(profile);
  const node = (name: string, over: string | undefined, profiles?: string): Contender => ({
    name,
    start: (nodes) => startFlotilla({ name, nodes, engine, transport: over, profileDir: profiles }),
  });
  const ours = node('flotilla', transport, profileDir);
  if (against === undefined) return [ours];
  if (against === 'grpc-js') return [ours, node('flotilla on grpc-js', 'grpc-js')];
  const { path } = findEtcd(etcd);
  return [ours, { name: 'etcd', start: (nodes) => startEtcd(path, nodes) }];
}

/** All servers keep their data below the system's temporary folder, which this becomes. */
function useDataDir(dataDir: string | undefined): void {
  if (dataDir !== undefined) {
    mkdirSync(dataDir, { recursive: true });
    process.env['TMPDIR'] = resolve(dataDir);
  }
  if (!IN_MEMORY.includes(statfsSync(tmpdir()).type)) return;
  throw new Error(`${tmpdir()} is in memory, where nothing is durable: name a --data-dir`);
}

try {
  if (isReplicationBench(process.argv)) await runReplicationBench(process.argv, useDataDir);
  else if (isBackupBench(process.argv)) await runBackupBench(process.argv, useDataDir);
  else await main(parseOptions(process.argv));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
