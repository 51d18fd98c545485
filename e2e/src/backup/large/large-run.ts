/**
 * A backup of much data, there and back, with an eye on the memory of every process.
 *
 *   load ─▶ back up ─▶ verify ─▶ restore to a new name ─▶ compare
 *
 * In: how much. Values are made from their numbers, so that nothing of them is kept anywhere. Out: for each phase
 * its pace and the most memory that each process held; problems if the restored table differs from what was made,
 * or in revisions and versions from the table at the revision of the backup. Its folders are deleted at the end.
 */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { backupsV1 } from '@flotilla/proto';
import { MadeValues } from '../../harness/made-values.js';
import { MaintenanceProcess } from '../../harness/maintenance-process.js';
import { MemoryWatch } from '../../harness/memory-watch.js';
import { NodeProcess } from '../../harness/node-process.js';
import { tableHash } from '../../harness/table-hash.js';
import { UsageError } from '../../harness/test-program.js';
import { BackupCalls } from '../faults/backup-calls.js';
import type { LargeCommand } from './large-options.js';

const TABLE = 'large';
const COPY = 'large-restored';
const VALUE_BYTES_MIN = 64 * 1024;
const VALUE_BYTES_MAX = 1024 * 1024;
const PUTS_AT_ONCE = 3;
const KEY_DIGITS = 10;
/** Table, log, backup, restored table and its log, and what is rewritten meanwhile. */
const DISK_FACTOR = 5;
const CALL_MS = 12 * 3_600_000;
const CLIENT_MS = 300_000;
const MEGABYTE = 1_000_000;
const PROBLEMS_MAX = 10;

export interface LargeOptions extends LargeCommand {
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
}

/** What is wrong, as text; nothing if all is well. */
export async function runLarge(options: LargeOptions): Promise<readonly string[]> {
  const { bavail, bsize } = statfsSync(options.folder);
  if (bavail * bsize < options.bytes * DISK_FACTOR) {
    throw new UsageError(`--size needs ${DISK_FACTOR} times as much free disk`);
  }
  const folder = mkdtempSync(join(options.folder, 'flotilla-large-'));
  const node = await NodeProcess.prepare({ dataDir: join(folder, 'node') });
  let app: MaintenanceProcess | undefined;
  try {
    await node.start();
    app = await MaintenanceProcess.start([node.apiAddress], join(folder, 'store'));
    return await new LargeRun(options, node, app).run();
  } finally {
    await app?.kill();
    await node.dispose();
    rmSync(folder, { recursive: true, force: true });
  }
}

class LargeRun {
  private readonly made: MadeValues;
  private readonly memory: MemoryWatch;
  private readonly client: FlotillaClient;
  private readonly calls: BackupCalls;
  private bytes = 0;

  constructor(
    private readonly options: LargeOptions,
    private readonly node: NodeProcess,
    app: MaintenanceProcess,
  ) {
    this.made = new MadeValues(options.seed, VALUE_BYTES_MIN, VALUE_BYTES_MAX);
    this.calls = new BackupCalls(app.address, CALL_MS);
    this.client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CLIENT_MS });
    const { pid } = process;
    this.memory = new MemoryWatch({
      node: () => node.pid,
      maintenance: () => app.pid,
      'this program': () => pid,
    });
  }

  async run(): Promise<readonly string[]> {
    const { calls } = this;
    try {
      const rows = await this.phase('load', () => this.load());
      const { backup } = await this.phase('back up', () => calls.create(backupsV1.BackupKind.FULL));
      const report = await this.phase('verify', () => calls.verify(backup.id));
      const problems = report.problems.map(({ message }) => message);
      await this.phase('restore', () =>
        calls.restore({ id: backup.id, tables: [TABLE], as: COPY }),
      );
      const revision = Number(backup.tables[0]?.revision);
      const found = await this.phase('compare', () => this.compare(rows, revision));
      return [...problems, ...found];
    } finally {
      this.memory.close();
      this.client.close();
    }
  }

  /** Returns how many rows there are. */
  private async load(): Promise<number> {
    await this.client.createTable(TABLE);
    let rows = 0;
    const write = async () => {
      while (this.bytes < this.options.bytes) {
        this.options.signal.throwIfAborted();
        const nth = rows++;
        const value = this.made.value(nth);
        this.bytes += value.length;
        await this.client.put({ table: TABLE, key: keyOf(nth), value });
      }
    };
    await Promise.all(Array.from({ length: PUTS_AT_ONCE }, write));
    return rows;
  }

  private async compare(rows: number, revision: number): Promise<readonly string[]> {
    const { apiAddress } = this.node;
    const problems: string[] = [];
    let nth = 0;
    const copy = await tableHash(apiAddress, COPY, 0, CALL_MS, ({ key, value }) => {
      this.options.signal.throwIfAborted();
      const isRight = key.toString() === keyOf(nth) && this.made.value(nth).equals(value);
      if (!isRight && problems.length < PROBLEMS_MAX) problems.push(`row ${nth} is another one`);
      nth++;
    });
    if (copy.rows !== rows) problems.push(`${copy.rows} rows were restored of ${rows}`);
    const source = await tableHash(apiAddress, TABLE, revision, CALL_MS);
    if (source.hash !== copy.hash) problems.push('the hash of revisions and versions differs');
    return problems;
  }

  private async phase<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.options.signal.throwIfAborted();
    const beganMs = performance.now();
    this.memory.take();
    const interrupted = new Promise<never>((_, reject) => {
      const { signal } = this.options;
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    const outcome = await Promise.race([work(), interrupted]);
    const seconds = (performance.now() - beganMs) / 1_000;
    const pace = (this.bytes / MEGABYTE / seconds).toFixed(1);
    const held = [...this.memory.take()].map(([who, bytes]) => `${who} ${megabytes(bytes)}`);
    this.options.print(
      `${name.padEnd(8)} ${megabytes(this.bytes)} in ${seconds.toFixed(1)} s, ${pace} MB/s; ` +
        `resident at most: ${held.join(', ')}`,
    );
    return outcome;
  }
}

function keyOf(nth: number): string {
  return `row ${String(nth).padStart(KEY_DIGITS, '0')}`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / MEGABYTE)} MB`;
}
