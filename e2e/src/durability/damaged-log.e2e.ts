/**
 * Damage to the log on disk: an unfinished end is cut, anything else is refused by name.
 */
import { openSync, readSync, writeSync, closeSync, readdirSync, cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { FlotillaClient } from '@flotilla/client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CALL_MS, NodeProcess, temporaryFolder } from '../harness/node-process.js';

const KEYS = 200;
const TABLE = 'damage';

/** The newest segment of the node's log. */
function newestSegment(dataDir: string): string {
  const files = readdirSync(join(dataDir, 'raft'), { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && /\d{6,}/.test(file.name))
    .map((file) => join(file.parentPath, file.name))
    .sort();
  const newest = files.at(-1);
  if (!newest) throw new Error('the node has no log segment');
  return newest;
}

/** Offset after the last byte that is not zero: the segment is preallocated. */
function usedBytes(path: string): number {
  const file = openSync(path, 'r');
  const chunk = Buffer.alloc(1024 * 1024);
  let used = 0;
  for (let at = 0; ; at += chunk.length) {
    const read = readSync(file, chunk, 0, chunk.length, at);
    for (let i = read - 1; i >= 0; i--) {
      if (chunk[i] !== 0) {
        used = at + i + 1;
        break;
      }
    }
    if (read < chunk.length) break;
  }
  closeSync(file);
  return used;
}

function overwrite(path: string, offset: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

describe('a damaged log', () => {
  let origin: string;
  beforeAll(async () => {
    origin = temporaryFolder('damage');
    const node = await NodeProcess.start({ dataDir: origin });
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    await client.createTable(TABLE);
    for (let key = 0; key < KEYS; key++) {
      await client.put({ table: TABLE, key: `k${key}`, value: Buffer.alloc(100, key) });
    }
    client.close();
    await node.kill();
    await node.dispose();
  });
  afterAll(() => rmSync(origin, { recursive: true, force: true }));

  async function withCopy(
    options: { withoutEngine: boolean },
    run: (node: NodeProcess) => Promise<void>,
  ): Promise<void> {
    const dataDir = temporaryFolder('damage-copy');
    // What is not a file, such as the socket of the node's lock, is of no use to a copy.
    cpSync(origin, dataDir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    if (options.withoutEngine) rmSync(join(dataDir, 'state-machine'), { recursive: true });
    const node = await NodeProcess.prepare({ dataDir });
    try {
      await run(node);
    } finally {
      await node.dispose();
      rmSync(dataDir, { recursive: true, force: true });
    }
  }

  async function count(node: NodeProcess): Promise<number> {
    const client = new FlotillaClient({ endpoints: [node.apiAddress], timeoutMs: CALL_MS });
    const everything = { table: TABLE, key: '\0', rangeEnd: '\0', countOnly: true };
    const answer = await client.range({ ...everything, linearizable: true });
    client.close();
    return answer.count;
  }

  it('the whole state comes back from the log alone', () =>
    withCopy({ withoutEngine: true }, async (node) => {
      await node.start();
      expect(await count(node)).toBe(KEYS);
    }));

  it('a write that was cut in its middle by a crash is dropped, and all before it is kept', () =>
    withCopy({ withoutEngine: true }, async (node) => {
      const segment = newestSegment(node.dataDir);
      const used = usedBytes(segment);
      overwrite(segment, used - 40, Buffer.alloc(40));
      await node.start();
      expect(await count(node)).toBeGreaterThanOrEqual(KEYS - 1);
      expect(node.output).toMatch(/cut/);
    }));

  it('a flipped byte in the middle is refused, with the file and what to do', () =>
    withCopy({ withoutEngine: false }, async (node) => {
      const segment = newestSegment(node.dataDir);
      const middle = Math.floor(usedBytes(segment) / 2);
      const byte = Buffer.alloc(1);
      const file = openSync(segment, 'r');
      readSync(file, byte, 0, 1, middle);
      closeSync(file);
      overwrite(segment, middle, Buffer.from([byte.readUInt8(0) ^ 0x40]));
      const { code } = await node.startAndFail();
      expect(code).toBe(1);
      expect(node.output).toContain(segment.split('/').at(-1));
    }));
});
