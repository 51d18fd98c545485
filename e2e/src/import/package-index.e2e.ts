/**
 * Debian's package index through the command line tool: in, counted, read back, ranged, out again;
 * and a node that is killed in the middle of it.
 */
import { rmSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cli, type CliResult } from '../harness/cli.js';
import { CALL_MS, NodeProcess, temporaryFolder } from '../harness/node-process.js';
import { packageIndex, toJsonLines, type PackageIndex } from '../harness/package-index.js';

const KILL_ROUNDS = 10;
const ROWS_PER_ROUND = 4_000;

describe('the Debian package index', () => {
  let node: NodeProcess;
  let cli: Cli;
  let index: PackageIndex;
  let folder: string;
  beforeAll(async () => {
    folder = temporaryFolder('packages');
    index = packageIndex();
    node = await NodeProcess.start();
    cli = new Cli(node.apiAddress, 'packages');
    await cli.ok(['table', 'create', 'packages']);
  });
  afterAll(async () => {
    await node.dispose();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is imported, counted, read back byte for byte, ranged by prefix and exported unchanged', async () => {
    const source = join(folder, 'packages.jsonl');
    writeFileSync(source, toJsonLines(index.rows));
    const report = await cli.ok(['import', source]);
    console.log(report.trim());
    expect(report).toContain(`imported ${index.rows.size} keys`);

    const count = await cli.ok(['get', '', '--prefix', '--count-only']);
    expect(Number(count)).toBe(index.rows.size);

    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    const everything = { table: 'packages', key: '\0', rangeEnd: '\0' };
    const different: string[] = [];
    let seen = 0;
    for await (const { kvs } of client.iterateRange(everything)) {
      for (const { key, value } of kvs) {
        seen++;
        if (!index.rows.get(key.toString())?.equals(value)) different.push(key.toString());
      }
    }
    client.close();
    expect(different).toEqual([]);
    expect(seen).toBe(index.rows.size);

    const names = await cli.ok(['get', 'lib', '--prefix', '--keys-only']);
    const expected = [...index.rows.keys()].filter((name) => name.startsWith('lib')).sort();
    expect(names.trim().split('\n')).toEqual(expected);

    const target = join(folder, 'exported.jsonl');
    await cli.ok(['export', target]);
    const sorted = [...index.rows].sort(([a], [b]) => (a < b ? -1 : 1));
    expect(readFileSync(target, 'utf8') === toJsonLines(sorted)).toBe(true);
  });

  it(`keeps every acknowledged row, and none in half, when the node is killed during ${KILL_ROUNDS} imports`, async () => {
    const rows = [...index.rows].slice(0, ROWS_PER_ROUND);
    const source = join(folder, 'round.jsonl');
    writeFileSync(source, toJsonLines(rows));
    for (let round = 0; round < KILL_ROUNDS; round++) {
      const table = `round-${round}`;
      const roundCli = new Cli(node.apiAddress, table);
      await roundCli.ok(['table', 'create', table]);
      const { running } = await beginImport(roundCli, source, table);
      await sleep(round * 25);
      await node.kill();
      const { stdout } = await running;
      await node.start();
      const { acknowledged } = JSON.parse(stdout.toString()) as { acknowledged: number };
      await checkRound(table, rows, acknowledged);
    }
  });

  /**
   * Settles once rows arrive: an import that was not begun would prove nothing. One whose first calls were all late
   * is asked for again.
   */
  async function beginImport(
    roundCli: Cli,
    source: string,
    table: string,
  ): Promise<{ readonly running: Promise<CliResult> }> {
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    const everything = { table, key: '\0', rangeEnd: '\0', countOnly: true };
    const args = ['import', source, '--command-timeout', '500ms', '-w', 'json'];
    try {
      for (;;) {
        let isOver = false;
        const running = roundCli.run(args).finally(() => (isOver = true));
        for (let wasOver = false; !wasOver; await sleep(5)) {
          wasOver = isOver;
          if ((await client.range(everything)).count > 0) return { running };
        }
      }
    } finally {
      client.close();
    }
  }

  async function checkRound(
    table: string,
    rows: readonly (readonly [string, Buffer])[],
    acknowledged: number,
  ): Promise<void> {
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    const found = new Map<string, Buffer>();
    const everything = { table, key: '\0', rangeEnd: '\0', linearizable: true };
    for await (const { kvs } of client.iterateRange(everything)) {
      for (const { key, value } of kvs) found.set(key.toString(), value);
    }
    client.close();
    const lost = rows.slice(0, acknowledged).filter(([key]) => !found.has(key));
    const damaged = rows.filter(([key, value]) => found.get(key)?.equals(value) === false);
    expect(lost.map(([key]) => key)).toEqual([]);
    expect(damaged.map(([key]) => key)).toEqual([]);
    console.log(`${table}: ${acknowledged} acknowledged, ${found.size} found`);
  }
});
