/**
 * Change rows that decode and yet cannot be those of a table are refused, each for one thing alone.
 */
import { describe, expect, it } from 'vitest';
import { bytes } from '../testing/commands.js';
import { type ChangeRowPlace, ChangeRowWriter } from './change-row.js';
import { Keyspace } from './keyspace.js';
import { encodeMeta, freshMeta, type Meta } from './meta-row.js';
import { encodeVersion, Version } from './row-codec.js';
import { SnapshotRows } from './snapshot-rows.js';

const KEYSPACE = new Keyspace(1);
const EPOCH = 2;
const META: Meta = {
  ...freshMeta(),
  appliedIndex: 90,
  revision: 50,
  compactedRevision: 10,
  epoch: EPOCH,
  keys: 1,
  liveBytes: 2,
  historyRows: 3,
  supersededTotal: 8,
  floorEpoch: EPOCH,
  floorRevision: 10,
};

interface Change {
  revision: number;
  key: string;
  /** Of the version that was superseded: its revision and epoch. */
  mod?: number;
  epoch?: number;
  version?: number;
}
interface Row {
  place: ChangeRowPlace;
  total: number;
  changes: Change[];
}

const row = (revision: number, total: number, changes: Change[], chunk = 0): Row => ({
  place: { epoch: EPOCH, revision, chunk },
  total,
  changes,
});

/** Three superseded versions in three rows, where five were given up before. */
const right = (): Row[] => [
  row(11, 6, [
    { revision: 10, key: 'b' },
    { revision: 11, key: 'a', mod: 5 },
  ]),
  row(12, 7, [
    { revision: 11, key: 'b', mod: 10 },
    { revision: 12, key: 'a' },
  ]),
  row(12, 8, [{ revision: 12, key: 'b', mod: 70, epoch: 1 }], 1),
];

function valueOf({ place, total, changes }: Row): Buffer {
  let value = bytes('');
  const writer = new ChangeRowWriter((_, written) => (value = Buffer.from(written)));
  for (const { revision, key, mod, epoch = EPOCH, version = 1 } of changes) {
    const superseded =
      mod === undefined
        ? undefined
        : new Version(bytes(key), bytes('v'), 1, mod, version, 0, epoch);
    writer.add(place.epoch, revision, { key: bytes(key), isPut: true, superseded, total });
  }
  writer.flush();
  return value;
}

function codeOf(
  rows: readonly Row[],
  change: Partial<Meta> = {},
  live: Partial<Version> = {},
): string {
  const checked = new SnapshotRows();
  const { modRevision = 49, epoch = EPOCH } = live;
  const version = new Version(bytes('k'), bytes('v'), 1, modRevision, 1, 0, epoch);
  try {
    checked.add(KEYSPACE.portableKey(KEYSPACE.metaKey), encodeMeta({ ...META, ...change }));
    checked.add(KEYSPACE.portableKey(KEYSPACE.liveKey(version.key)), encodeVersion(version));
    for (const each of rows) {
      checked.add(KEYSPACE.portableKey(KEYSPACE.changeKey(each.place)), valueOf(each));
    }
    checked.end();
    return 'taken';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe('change rows of a snapshot', () => {
  it('that a table can have are taken, from the first that was not given up', () => {
    expect(codeOf(right())).toBe('taken');
    const rest = right().slice(2);
    expect(codeOf(rest, { historyRows: 1, floorRevision: 12 })).toBe('taken');
    expect(codeOf([], { historyRows: 0, supersededTotal: 8 })).toBe('taken');
  });

  const damages: Record<string, (rows: Row[]) => unknown> = {
    'a count of superseded versions that is not that of the changes': ([first]) =>
      first && (first.total = 7),
    'a row left out at the start': (rows) => rows.shift(),
    'a row left out in the middle': (rows) => rows.splice(1, 1),
    'a row left out at the end': (rows) => rows.pop(),
    'a row that lies elsewhere than at its last revision': ([first]) =>
      first && (first.place = { ...first.place, revision: 10 }),
    'a row that begins before the end of the one before': ([, second]) =>
      second?.changes.unshift({ revision: 10, key: 'x' }),
    'a key twice in a revision': ([first]) => first?.changes.push({ revision: 11, key: 'a' }),
    'a key twice in a revision that goes on in the next row': ([, second]) =>
      second?.changes.unshift({ revision: 11, key: 'a' }),
    'keys of a revision out of order': ([first]) => first?.changes.push({ revision: 11, key: '0' }),
    'a number of a row left out': ([, , third]) =>
      third && (third.place = { ...third.place, chunk: 2 }),
    'a number where no row goes on': ([first, second]) =>
      second && first && (second.place = { ...second.place, chunk: 1 }),
    'a revision that the table has not seen': ([, , third]) => {
      if (!third) return;
      third.place = { ...third.place, revision: 51, chunk: 0 };
      third.changes = [{ revision: 51, key: 'b', mod: 10 }];
    },
    'a version as new as what superseded it': ([, second]) =>
      second?.changes[0] && (second.changes[0].mod = 11),
    'a version of a later epoch': ([first]) => first?.changes[1] && (first.changes[1].epoch = 3),
    'a version of no epoch': ([first]) => first?.changes[1] && (first.changes[1].epoch = 0),
    'a version that counts no put': ([first]) =>
      first?.changes[1] && (first.changes[1].version = 0),
  };
  it.each(Object.entries(damages))('with %s are refused', (_, damage) => {
    const rows = right();
    damage(rows);
    expect(codeOf(rows)).toBe('TABLE_SNAPSHOT_DAMAGED');
  });

  it('before the floor of compaction, or of an epoch to come, are refused', () => {
    expect(codeOf(right(), { floorRevision: 12 })).toBe('TABLE_SNAPSHOT_DAMAGED');
    const later = right().map((each) => ({ ...each, place: { ...each.place, epoch: 3 } }));
    expect(codeOf(later)).toBe('TABLE_SNAPSHOT_DAMAGED');
  });

  it('are refused where the meta row counts otherwise, and live rows that are not of its time too', () => {
    for (const change of [{ historyRows: 2 }, { supersededTotal: 9 }, { historyRows: 9 }]) {
      expect(codeOf(right(), change)).toBe('TABLE_SNAPSHOT_DAMAGED');
    }
    for (const live of [{ modRevision: 51 }, { epoch: 3 }, { modRevision: 0 }]) {
      expect(codeOf(right(), {}, live)).toBe('TABLE_SNAPSHOT_DAMAGED');
    }
    expect(codeOf(right(), {}, { modRevision: 51, epoch: 1 })).toBe('taken');
  });
});
