/**
 * Change rows: what is written is read again, rows are cut where they should be, and bytes that nothing
 * wrote are refused.
 */
import { describe, expect, it } from 'vitest';
import { bytes, text } from '../testing/commands.js';
import {
  CHANGE_ROW_BYTES_MAX,
  type ChangeRowPlace,
  ChangeRowReader,
  ChangeRowWriter,
  supersededTotalOf,
} from './change-row.js';
import { Version } from './row-codec.js';

interface Change {
  epoch: number;
  revision: number;
  key: string;
  isPut: boolean;
  superseded: Version | undefined;
}
type Row = ChangeRowPlace & { readonly bytes: Buffer };

const old = (key: string, value: string, numbers = [1, 1, 1, 0, 1]): Version => {
  const [create = 0, mod = 0, version = 0, lease = 0, epoch = 0] = numbers;
  return new Version(bytes(key), bytes(value), create, mod, version, lease, epoch);
};

function written(changes: readonly Change[], hint = 0): Row[] {
  const rows: Row[] = [];
  const writer = new ChangeRowWriter((place, row) => {
    rows.push({ ...place, bytes: Buffer.from(row) });
  }, hint);
  let total = 0;
  for (const { epoch, revision, key, isPut, superseded } of changes) {
    if (superseded !== undefined) total++;
    writer.add(epoch, revision, { key: bytes(key), isPut, superseded, total });
  }
  writer.flush();
  writer.flush();
  return rows;
}

/** As text: comparing buffers byte by byte takes long. */
function shown({ epoch, revision, key, isPut, superseded }: Change): string {
  const { value, ...numbers } = superseded ?? { value: bytes('') };
  const version = superseded && { ...numbers, key: text(superseded.key), value: text(value) };
  return JSON.stringify({ epoch, revision, key, isPut, version });
}

function read(rows: readonly Row[]): string[] {
  return rows.flatMap(({ epoch, bytes: row }) => {
    const reader = new ChangeRowReader(row);
    const changes: string[] = [];
    while (reader.next()) {
      const [key, superseded] = [text(reader.key()), reader.superseded()];
      expect(reader.keyName()).toBe(key);
      changes.push(
        shown({ epoch, revision: reader.revision, key, isPut: reader.isPut, superseded }),
      );
    }
    return changes;
  });
}

const placesOf = (rows: readonly Row[]) => rows.map((row) => [row.epoch, row.revision, row.chunk]);

const BIG = Number.MAX_SAFE_INTEGER;
const SOME: Change[] = [
  { epoch: 1, revision: 3, key: '', isPut: true, superseded: undefined },
  { epoch: 1, revision: 3, key: 'a\0', isPut: false, superseded: old('a\0', '\0\xff') },
  { epoch: 1, revision: 300, key: 'a', isPut: true, superseded: old('a', '', [2, 250, 9, 7, 1]) },
  {
    epoch: 1,
    revision: BIG,
    key: 'z',
    isPut: true,
    superseded: old('z', 'v', [BIG, BIG - 1, BIG, BIG, 1]),
  },
];

describe('change rows', () => {
  it('give back every change as it was, in one row for all of them', () => {
    const rows = written(SOME);
    expect(placesOf(rows)).toEqual([[1, BIG, 0]]);
    expect(read(rows)).toEqual(SOME.map(shown));
    expect(supersededTotalOf(rows[0]?.bytes ?? bytes(''))).toBe(3);
    expect(written([])).toEqual([]);
  });

  it('end where an epoch ends, and begin their numbers anew', () => {
    const changes = [1, 2, 3].map((epoch) => ({ ...(SOME[0] as Change), epoch }));
    const rows = written(changes);
    expect(placesOf(rows)).toEqual([
      [1, 3, 0],
      [2, 3, 0],
      [3, 3, 0],
    ]);
    expect(read(rows)).toEqual(changes.map(shown));
  });

  it('are cut between changes before they exceed their bound; what goes on is numbered', () => {
    const value = 'v'.repeat(1_000);
    const many = Array.from({ length: 400 }, (_, at): Change => {
      const key = `k${String(at).padStart(4, '0')}`;
      const revision = at < 300 ? 5 : at;
      return { epoch: 1, revision, key, isPut: true, superseded: old(key, value) };
    });
    const rows = written(many);
    expect(read(rows)).toEqual(many.map(shown));
    expect(rows.length).toBeGreaterThan(6);
    const lengths = rows.map((row) => row.bytes.length);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(CHANGE_ROW_BYTES_MAX);
    // Cut as late as possible, the last one aside.
    expect(Math.min(...lengths.slice(0, -1))).toBeGreaterThan(CHANGE_ROW_BYTES_MAX - 1_200);
    const places = placesOf(rows);
    expect(places.slice(0, 4)).toEqual([0, 1, 2, 3].map((chunk) => [1, 5, chunk]));
    expect(places.at(-1)).toEqual([1, 399, 0]);
    const totals = rows.map((row) => supersededTotalOf(row.bytes));
    expect(totals.at(-1)).toBe(400);
    expect([...totals].sort((one, other) => one - other)).toEqual(totals);
    for (const hint of [1, 1e3, 1e9]) expect(read(written(many, hint))).toEqual(read(rows));
  });

  it('of one change that is larger than the bound are larger, and hold that one', () => {
    const value = 'v'.repeat(3 * CHANGE_ROW_BYTES_MAX);
    const changes = [1, 2, 3].map((revision): Change => {
      const superseded = revision === 2 ? old('k', value) : old('k', 'small');
      return { epoch: 1, revision: revision + 1, key: 'k', isPut: true, superseded };
    });
    const rows = written(changes);
    expect(placesOf(rows)).toEqual([
      [1, 2, 0],
      [1, 3, 0],
      [1, 4, 0],
    ]);
    expect(read(rows)).toEqual(changes.map(shown));
  });

  it('cut anywhere but between two changes are refused, and so is another format', () => {
    const [row] = written(SOME);
    if (!row) throw new Error('there is no row');
    const whole = SOME.map((_, at) => written(SOME.slice(0, at + 1))[0]?.bytes.length);
    for (let length = 0; length < row.bytes.length; length++) {
      if (whole.includes(length)) continue;
      const cut = { ...row, bytes: row.bytes.subarray(0, length) };
      expect(() => read([cut]), `${length}`).toThrow(/damaged/);
    }
    for (const format of [0, 1, 3]) {
      const other = Buffer.from(row.bytes);
      other[0] = format;
      expect(() => read([{ ...row, bytes: other }])).toThrow(/damaged/);
    }
  });

  it('with flags or revisions that cannot be are refused', () => {
    const head = '020000000000000000';
    const damages = {
      'no change at all': '',
      'neither put nor superseding': '040100',
      'unknown flags': '0d0100',
      'no revision at first': '0100',
      'a revision that does not ascend': '0501000500016b',
      'a revision that is no number': '05ffffffffffffffff7f00',
    };
    for (const [what, rest] of Object.entries(damages)) {
      const row = { epoch: 1, revision: 1, chunk: 0, bytes: Buffer.from(head + rest, 'hex') };
      expect(() => read([row]), what).toThrow(/damaged/);
    }
    const right = { epoch: 1, revision: 1, chunk: 0, bytes: Buffer.from(`${head}050100`, 'hex') };
    expect(read([right])).toHaveLength(1);
  });
});
