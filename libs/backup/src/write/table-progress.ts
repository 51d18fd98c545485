/**
 * How far a table was written by a run that ended early.
 *
 * In: the segments that lie in its folder, of whatever attempts. Out: the longest chain of them, or
 * nothing. Segments that cannot be read, do not go on from the one before, or tell of a chunk that is
 * not there count as not there: what they told of is written again.
 */
import { SEGMENT_OBJECT_BYTES_MAX } from '../bounds.js';
import { isBackupError } from '../backup-error.js';
import { sha256Of } from '../format/chunk-codec.js';
import { type BackupKey } from '../format/key-ring.js';
import { SEGMENT_ENDING, tableFolder } from '../format/names.js';
import { openSegment, type Segment } from '../format/segment.js';
import { type BackupObjects } from '../objects/backup-objects.js';

export interface WrittenSegment {
  readonly name: string;
  readonly sha256: string;
  readonly segment: Segment;
}

export interface ProgressPlace {
  readonly backup: string;
  readonly table: number;
  readonly epoch: number;
  readonly key: BackupKey | undefined;
}

/** In their order; empty if there are none to go on from. */
export async function findProgress(
  objects: BackupObjects,
  place: ProgressPlace,
  signal: AbortSignal,
): Promise<readonly WrittenSegment[]> {
  const found = new Map<string, WrittenSegment>();
  const chunks = new Map<string, number>();
  const names: string[] = [];
  const folder = tableFolder(place.backup, place.table);
  for await (const { key: name, sizeBytes } of objects.list(folder, signal)) {
    if (name.endsWith(SEGMENT_ENDING)) names.push(name);
    else chunks.set(name, sizeBytes);
  }
  for (const name of names) {
    const written = await readSegment(objects, name, place, signal);
    if (written?.segment.epoch !== place.epoch) continue;
    const isThere = written.segment.chunks.every(
      (chunk) => chunks.get(chunk.name) === chunk.storedBytes,
    );
    if (isThere) found.set(written.sha256, written);
  }
  let longest: readonly WrittenSegment[] = [];
  for (const last of found.values()) {
    if (last.segment.number <= longest.length) continue;
    const chain = chainTo(last, found);
    if (chain) longest = chain;
  }
  return longest;
}

function chainTo(
  last: WrittenSegment,
  found: ReadonlyMap<string, WrittenSegment>,
): readonly WrittenSegment[] | undefined {
  const chain = [last];
  for (let at = last; at.segment.number > 1;) {
    const before = found.get(at.segment.previous);
    if (!before || !goesOn(before.segment, at.segment)) return undefined;
    chain.unshift(before);
    at = before;
  }
  return chain[0]?.segment.previous === '' ? chain : undefined;
}

function goesOn(before: Segment, segment: Segment): boolean {
  return (
    segment.number === before.number + 1 &&
    segment.revision === before.revision &&
    segment.sinceRevision === before.sinceRevision &&
    !before.isLast
  );
}

async function readSegment(
  objects: BackupObjects,
  name: string,
  { backup, table, key }: ProgressPlace,
  signal: AbortSignal,
): Promise<WrittenSegment | undefined> {
  const bytes = await objects.read(name, SEGMENT_OBJECT_BYTES_MAX, signal);
  if (!bytes) return undefined;
  const sha256 = sha256Of(bytes);
  try {
    const segment = await openSegment(bytes, sha256, { backup, table }, key, name);
    return { name, sha256, segment };
  } catch (error) {
    if (isBackupError(error, 'BACKUP_DAMAGED', 'BACKUP_UNREADABLE')) return undefined;
    throw error;
  }
}
