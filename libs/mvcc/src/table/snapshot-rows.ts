/**
 * Whether rows that were sent are those of a table (docs/formats/table-snapshot.md).
 *
 * In: rows without table id and slot, in the order they came. Out: the meta row, once all the others
 * are what it says. A checksum tells that bytes came as they were sent, not that they make sense:
 * what passes here must never be found unreadable, or at odds with itself, once it is a table's state.
 */
import { ChangeRowReader, type ChangeRowPlace } from './change-row.js';
import { CHANGES, LIVE, META, placeOfChanges } from './keyspace.js';
import { decodeMeta, type Meta } from './meta-row.js';
import { decodeVersion, type Version } from './row-codec.js';
import { damageOfChunk, damagedChunk } from './snapshot-chunk.js';

const AREA_BYTES = 1;
/** Keys hold epochs of four bytes, and ranges end before the next one. */
const EPOCH_MAX = 0xffffffff;

export class SnapshotRows {
  private previous: Buffer | undefined;
  private meta: Meta | undefined;
  private keys = 0;
  private liveBytes = 0;
  private historyRows = 0;
  private changes: ChangeRows | undefined;

  /** Throws TableError TABLE_SNAPSHOT_DAMAGED. */
  add(key: Buffer, value: Buffer): void {
    if (this.previous && Buffer.compare(this.previous, key) >= 0) {
      throw damagedChunk('its rows are not in order');
    }
    this.previous = key;
    damageOfChunk(() => this.check(key, value));
  }

  /** The meta row of a state that is whole. Throws TableError TABLE_SNAPSHOT_DAMAGED. */
  end(): Meta {
    const { meta, keys, liveBytes } = this;
    if (!meta) throw damagedChunk('a state without a meta row');
    const historyRows = this.changes?.end() ?? 0;
    if (meta.keys === keys && meta.liveBytes === liveBytes && meta.historyRows === historyRows) {
      return meta;
    }
    const counted = `${keys} keys of ${liveBytes} bytes, ${historyRows} superseded versions`;
    const said = `${meta.keys} of ${meta.liveBytes}, ${meta.historyRows}`;
    throw damagedChunk(`there are ${counted}, where the meta row says ${said}`);
  }

  private check(key: Buffer, value: Buffer): void {
    const area = key[0];
    const { meta } = this;
    if (area === META) {
      if (key.length !== AREA_BYTES) throw damagedChunk('the meta row has a longer key');
      this.meta = decodeMeta(value);
      return checkMeta(this.meta);
    }
    if (meta === undefined) throw damagedChunk('the meta row is not first');
    if (area === LIVE) return this.checkLive(meta, key, value);
    if (area !== CHANGES) throw damagedChunk('a row lies in no area of a table');
    this.changes ??= new ChangeRows(meta);
    this.changes.add(placeOfChanges(key), new ChangeRowReader(value));
  }

  private checkLive(meta: Meta, key: Buffer, value: Buffer): void {
    const row = decodeVersion(value);
    if (!row.key.equals(key.subarray(AREA_BYTES))) throw damagedChunk('a row of another key');
    if (!isPossible(row, meta.epoch, meta.revision)) throw damagedChunk('a version that cannot be');
    this.keys++;
    this.liveBytes += row.key.length + row.value.length;
  }
}

/** Change rows in their order: none may be missing in between, and each must go on from the last. */
class ChangeRows {
  private counted = 0;
  private total: number;
  private place: ChangeRowPlace | undefined;
  /** Of the change before. */
  private epoch = 0;
  private revision = 0;
  private key: Buffer = Buffer.alloc(0);

  constructor(private readonly meta: Meta) {
    // Those that were superseded before the first row are the ones that were given up.
    this.total = meta.supersededTotal - meta.historyRows;
  }

  add(place: ChangeRowPlace, row: ChangeRowReader): void {
    this.checkPlace(place);
    while (row.next()) this.check(place, row);
    if (this.revision !== place.revision) {
      throw damagedChunk('a change row does not lie at the last revision in it');
    }
    if (this.total !== row.supersededTotal) {
      throw damagedChunk(`${this.total} versions were superseded, not ${row.supersededTotal}`);
    }
    this.place = place;
  }

  /** How many superseded versions there are. */
  end(): number {
    const { total, meta } = this;
    if (total === meta.supersededTotal) return this.counted;
    throw damagedChunk(`${total} versions were superseded, not ${meta.supersededTotal}`);
  }

  private checkPlace({ epoch, revision, chunk }: ChangeRowPlace): void {
    const { meta, place } = this;
    const isBehindFloor =
      epoch > meta.floorEpoch || (epoch === meta.floorEpoch && revision >= meta.floorRevision);
    const isKnown = epoch < meta.epoch || (epoch === meta.epoch && revision <= meta.revision);
    if (!isBehindFloor || !isKnown) throw damagedChunk('changes at a revision that cannot be');
    if (place === undefined) return;
    const goesOn = place.epoch === epoch && place.revision === revision;
    if (chunk !== (goesOn ? place.chunk + 1 : 0)) throw damagedChunk('a change row is missing');
  }

  private check({ epoch, revision }: ChangeRowPlace, change: ChangeRowReader): void {
    const key = change.key();
    const isSameEpoch = epoch === this.epoch;
    const isSame = isSameEpoch && change.revision === this.revision;
    if (change.revision > revision || (isSameEpoch && change.revision < this.revision)) {
      throw damagedChunk('changes are not in the order of revisions');
    }
    if (isSame && Buffer.compare(this.key, key) >= 0) {
      throw damagedChunk('changes of a revision are not in the order of keys');
    }
    const superseded = change.superseded();
    if (superseded !== undefined) {
      if (!isPossible(superseded, epoch, change.revision - 1)) {
        throw damagedChunk('a superseded version that cannot be');
      }
      this.counted++;
      this.total++;
    }
    this.epoch = epoch;
    this.revision = change.revision;
    this.key = key;
  }
}

/** Whether a version can have been the newest one at a revision. */
function isPossible(row: Version, epoch: number, revision: number): boolean {
  const { createRevision, modRevision, version } = row;
  const isKnown = row.epoch < epoch || (row.epoch === epoch && modRevision <= revision);
  return isKnown && row.epoch > 0 && createRevision > 0 && modRevision > 0 && version > 0;
}

function checkMeta(meta: Meta): void {
  const { appliedIndex, revision, compactedRevision, epoch, floorEpoch } = meta;
  const isPossible =
    appliedIndex > 0 &&
    compactedRevision <= revision &&
    epoch > 0 &&
    epoch < EPOCH_MAX &&
    floorEpoch <= epoch &&
    meta.bornAtIndex <= appliedIndex &&
    meta.historyRows <= meta.supersededTotal;
  if (!isPossible) throw damagedChunk('the meta row speaks of no table');
}
