/**
 * Real input through backups: all of Debian's package index, all installed packages, and keys and values of all bytes and of
 * the largest sizes, backed up under writes and restored into a new cluster, where each row is what the backup's
 * revision held. To a folder, to a server that speaks S3, to OpenStack Swift where it can be had, and to the store of
 * FLOTILLA_E2E_STORE if it is set.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FlotillaClient } from '@flotilla/client';
import { findSwift, startSwift } from '@flotilla/object-store/swift';
import { backupsV1, mvccV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MaintenanceProcess } from '../harness/maintenance-process.js';
import { NodeProcess, ROOT, temporaryFolder } from '../harness/node-process.js';
import { packageIndex } from '../harness/package-index.js';
import { StoreProcess } from '../harness/store-process.js';
import { tableHash } from '../harness/table-hash.js';
import { tableRows } from '../harness/table-rows.js';
import { BackupCalls } from './faults/backup-calls.js';

const KEY_BYTES_MAX = 1_024;
const VALUE_BYTES_MAX = 2 * 1024 * 1024;
const INPUT_BYTES_LEAST = 3 * 1024 * 1024;
/** Operations and bytes of one transaction. */
const TXN_ROWS = 200;
const TXN_BYTES = 1024 * 1024;
const CLIENT_MS = 120_000;
const PAUSE_MS = 5;
const STORE = process.env['FLOTILLA_E2E_STORE'];

/** By the bytes of their keys, each as one character. */
type Rows = ReadonlyMap<string, Buffer>;

/** What was written over a row. */
interface Written {
  readonly revision: number;
  readonly value: Buffer | undefined;
}

const bytesOf = (key: string): Buffer => Buffer.from(key, 'latin1');

function packages(): Rows {
  const { rows } = packageIndex();
  return new Map([...rows].map(([name, value]) => [Buffer.from(name).toString('latin1'), value]));
}

function modules(): Rows {
  const rows = new Map<string, Buffer>();
  const root = join(ROOT, 'node_modules');
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    const key = Buffer.from(relative(root, path)).toString('latin1');
    if (!entry.isFile() || key.length > KEY_BYTES_MAX) continue;
    const content = readFileSync(path);
    if (content.length <= VALUE_BYTES_MAX) rows.set(key, content);
  }
  return rows;
}

function corners(): Rows {
  const rows = new Map<string, Buffer>();
  const all = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const byte of all) {
    rows.set(String.fromCharCode(byte), Buffer.from([byte]));
    rows.set(`in${String.fromCharCode(byte)}side`, Buffer.concat([all, Buffer.from([byte])]));
  }
  rows.set(all.toString('latin1'), all);
  rows.set('empty value', Buffer.alloc(0));
  rows.set('\xff'.repeat(KEY_BYTES_MAX), Buffer.from('largest key'));
  rows.set('\0'.repeat(KEY_BYTES_MAX), Buffer.from('largest key of nothing'));
  rows.set('largest value', Buffer.alloc(VALUE_BYTES_MAX, 0xa5));
  const notPacked = Buffer.from(Array.from({ length: VALUE_BYTES_MAX }, (_, at) => (at * at) >> 7));
  rows.set('largest value of all bytes', notPacked);
  return rows;
}

const INPUT: Readonly<Record<string, () => Rows>> = { packages, modules, corners };

function putOf(key: string, value: Buffer): mvccV1.RequestOp {
  const put = mvccV1.RequestOp_Put.fromPartial({ key: bytesOf(key), value });
  return mvccV1.RequestOp.fromPartial({ request: { $case: 'requestPut', value: put } });
}

async function load(client: FlotillaClient, table: string, rows: Rows): Promise<number> {
  await client.createTable(table);
  let batch: mvccV1.RequestOp[] = [];
  let bytes = 0;
  let total = 0;
  const flush = async () => {
    if (batch.length > 0) await client.txn({ table, compare: [], success: batch, failure: [] });
    [batch, bytes] = [[], 0];
  };
  for (const [key, value] of rows) {
    if (batch.length >= TXN_ROWS || bytes + value.length > TXN_BYTES) await flush();
    batch.push(putOf(key, value));
    bytes += value.length;
    total += key.length + value.length;
  }
  await flush();
  return total;
}

/** Overwrites and deletes rows of a table, and knows the revision of each. */
class Writer {
  readonly written = new Map<string, Written[]>();
  private isStopped = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly client: FlotillaClient,
    private readonly table: string,
    private readonly keys: readonly string[],
  ) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  /** What a row held at a revision, where it was written over by then. */
  at(key: string, revision: number): Written | undefined {
    return this.written.get(key)?.findLast((each) => each.revision <= revision);
  }

  private async run(): Promise<void> {
    const { client, table } = this;
    for (let nth = 0; !this.isStopped; nth++) {
      const text = this.keys[(nth * 7_919) % this.keys.length] ?? '';
      const key = bytesOf(text);
      const value = nth % 5 === 0 ? undefined : Buffer.from(`written ${nth} \0\xff`, 'latin1');
      const { header } = value
        ? await client.put({ table, key, value })
        : await client.deleteRange({ table, key });
      const before = this.written.get(text) ?? [];
      this.written.set(text, [...before, { revision: header.revision, value }]);
      await sleep(PAUSE_MS);
    }
  }
}

let node: NodeProcess;
let client: FlotillaClient;
const input = new Map<string, Rows>();
const writers = new Map<string, Writer>();

beforeAll(async () => {
  node = await NodeProcess.start();
  client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CLIENT_MS });
  let bytes = 0;
  for (const [table, rowsOf] of Object.entries(INPUT)) {
    const rows = rowsOf();
    input.set(table, rows);
    bytes += await load(client, table, rows);
    writers.set(table, new Writer(client, table, [...rows.keys()]));
  }
  console.log(`${bytes} bytes of input`);
  expect(bytes).toBeGreaterThan(INPUT_BYTES_LEAST);
});

afterAll(async () => {
  for (const writer of writers.values()) await writer.stop();
  client?.close();
  await node?.dispose();
});

/** Each row of the new cluster is what was written last by the backup's revision. */
async function compare(address: string, { name, revision }: backupsV1.BackupTable): Promise<void> {
  const due = new Map(input.get(name));
  const writer = writers.get(name);
  for (const key of writer?.written.keys() ?? []) {
    const last = writer?.at(key, Number(revision));
    if (last?.value) due.set(key, last.value);
    else if (last) due.delete(key);
  }
  const wrong: string[] = [];
  for await (const row of tableRows(address, name)) {
    const key = row.key.toString('latin1');
    const last = writer?.at(key, Number(revision));
    const isRight = due.get(key)?.equals(row.value) === true;
    if (!isRight || (last && last.revision !== Number(row.modRevision))) wrong.push(key);
    due.delete(key);
  }
  expect(wrong, `rows of ${name} that are wrong`).toEqual([]);
  expect([...due.keys()], `rows of ${name} that are missing`).toEqual([]);
}

async function backUpAndRestore(
  store: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  const start = (nodes: NodeProcess) =>
    MaintenanceProcess.start([nodes.apiAddress], store, [], { environment });
  const app = await start(node);
  const calls = new BackupCalls(app.address);
  const { backup } = await calls.create(backupsV1.BackupKind.FULL);
  const hashes = new Map<string, string>();
  for (const { name, revision } of backup.tables) {
    hashes.set(name, (await tableHash(node.apiAddress, name, Number(revision))).hash);
  }
  expect((await calls.verify(backup.id)).problemCount).toBe(0n);
  await app.kill();
  const newNode = await NodeProcess.start();
  const newApp = await start(newNode);
  try {
    await new BackupCalls(newApp.address).restore({ id: backup.id, inPlace: true });
    expect(backup.tables.map(({ name }) => name)).toEqual(Object.keys(INPUT).sort());
    for (const table of backup.tables) {
      await compare(newNode.apiAddress, table);
      const { hash } = await tableHash(newNode.apiAddress, table.name);
      expect(hash).toBe(hashes.get(table.name));
    }
  } finally {
    await newApp.kill();
    await newNode.dispose();
  }
}

describe('real input, backed up under writes, is in a new cluster what it was at the revision of the backup', () => {
  it('from a folder', async () => {
    const folder = temporaryFolder('real-input');
    await backUpAndRestore(folder, {});
    rmSync(folder, { recursive: true });
  });

  it('from a bucket', async () => {
    const store = await StoreProcess.start();
    try {
      await backUpAndRestore(store.url, store.environment);
    } finally {
      await store.dispose();
    }
  });

  it('from OpenStack Swift', async ({ skip }) => {
    const packages = findSwift();
    if (packages.kind === 'missing') {
      console.error(`\nSKIPPED: no OpenStack Swift on this machine: ${packages.why}\n`);
      return skip(packages.why);
    }
    const swift = await startSwift(packages.env);
    try {
      await backUpAndRestore(swift.url, swift.environment);
    } finally {
      await swift.close();
    }
  });

  it.skipIf(STORE === undefined)('from the store of FLOTILLA_E2E_STORE', async () => {
    await backUpAndRestore(STORE ?? '', {});
  });
});
