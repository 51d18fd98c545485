/** Records of a chunk: none is given before all of them are what the segment says. */
import { describe, expect, it } from 'vitest';
import { type BackupRecord, encodeRecords } from './records.js';
import { ChunkRecords } from './chunk-records.js';
import { type ChunkEntry } from './segment.js';

const row = (key: string): BackupRecord => {
  const numbers = { createRevision: 3, modRevision: 2 ** 52, version: 2 };
  return { kind: 'row', key: Buffer.from(key), value: Buffer.from(`value of ${key}`), ...numbers };
};
const deleted = (key: string): BackupRecord => ({ kind: 'deleted', key: Buffer.from(key) });
const RECORDS = [row('a'), row('ab'), deleted('b'), row('c')];

function entryOf(records: readonly BackupRecord[], changes: object = {}): ChunkEntry {
  const keys = records.flatMap((each) => (each.kind === 'entry' ? [] : [each.key]));
  return {
    ...{ name: 'x.chunk', sha256: '', storedBytes: 0 },
    plainBytes: encodeRecords(records).length,
    rows: records.filter(({ kind }) => kind === 'row').length,
    deletedKeys: records.filter(({ kind }) => kind === 'deleted').length,
    firstKey: keys[0]?.toString('base64') ?? '',
    lastKey: keys.at(-1)?.toString('base64') ?? '',
    ...changes,
  };
}

function open(records: readonly BackupRecord[], changes: object = {}): ChunkRecords {
  return new ChunkRecords(encodeRecords(records), entryOf(records, changes));
}

function rest(records: ChunkRecords): BackupRecord[] {
  const given: BackupRecord[] = [];
  for (; records.current; records.step()) given.push(records.current);
  return given;
}

describe('the records of a chunk', () => {
  it('are those that were written, in their order', () => {
    expect(rest(open(RECORDS))).toEqual(RECORDS);
  });

  it.each([
    ['', 0],
    ['a', 1],
    ['aa', 1],
    ['b', 3],
    ['c', 4],
    ['z', 4],
  ])('behind the key "%s" leave %i out', (key, count) => {
    const records = open(RECORDS);
    records.passOver(Buffer.from(key));
    expect(rest(records)).toEqual(RECORDS.slice(count));
  });

  it.each([
    ['keys that do not grow', [row('b'), row('b')], {}],
    ['keys that do not grow', [row('b'), row('aa')], {}],
    ['an entry of a log', [{ kind: 'entry', index: 1, atMs: 1, command: Buffer.from('x') }], {}],
    ['no record', [], {}],
    ['another number of rows', RECORDS, { rows: 4 }],
    ['another number of deleted keys', RECORDS, { deletedKeys: 0 }],
    ['other bytes', RECORDS, { plainBytes: 1 }],
    ['another first key', RECORDS, { firstKey: 'YQE=' }],
    ['another last key', RECORDS, { lastKey: '' }],
  ] as const)('are refused before the first of them for %s', (_, records, changes) => {
    expect(() => open(records as readonly BackupRecord[], changes)).toThrow('x.chunk');
  });

  it('are refused where a number is none that a revision can be', () => {
    const plain = encodeRecords(RECORDS);
    const last = plain.length - encodeRecords(RECORDS.slice(3)).length;
    for (const place of [13, 21, 29]) {
      const changed = Buffer.from(plain);
      changed.writeUInt32LE(2 ** 21, last + place);
      expect(() => new ChunkRecords(changed, entryOf(RECORDS))).toThrow('a number of');
    }
  });
});
