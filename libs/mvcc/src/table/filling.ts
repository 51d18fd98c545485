/**
 * Tables that are filled with rows as they are, and how they become tables that are written to.
 *
 *   empty --claim, batches 1, 2, 3 ...--> filled --adoption--> closed --first command--> one like any other
 *                                            ^------younger token--------'
 *   one that serves --adoption without a token--> revisions go on above a floor
 *
 * In: what a log entry says. Out: rows in the batch, and what commands make of them, or why there are none.
 * Who may write stands in the meta row, so all replicas judge alike. An adoption gives all of the history up:
 * what comes before it is one state, and nothing that was sent under an older token, or by a puller, may
 * change it any more.
 */
import { type mvccV1 } from '@flotilla/proto';
import { type ApplyBatch } from './apply-batch.js';
import { type FillBatch, safeNumber } from './command-decoder.js';
import { type Meta } from './meta-row.js';
import { faultOfBatch } from './replayed-commands.js';
import { type ApplyResult, type FillRefusal } from './table-types.js';

const NO_NOTE = Buffer.alloc(0);

/** `replay` applies a command that has its revision as leader index. */
export function applyFill(
  batch: ApplyBatch,
  fill: FillBatch,
  replay: (command: mvccV1.Command) => void,
): ApplyResult {
  const { meta } = batch;
  const { token, batch: number, rows, commands } = fill;
  const known = meta.fill;
  if (known === undefined && !isUntouched(meta)) return refused('closed');
  if (known !== undefined && token < known.token) return refused('token');
  const batches = known?.batches ?? 0;
  const note = known?.note ?? NO_NOTE;
  const isYounger = known === undefined || token > known.token;
  if (!isYounger && !known.isOpen) return number === 0 ? done(meta) : refused('closed');
  meta.fill = { token, batches, isOpen: true, note };
  if (number <= batches) return done(meta);
  if (number > batches + 1) return refused('order');
  const rowCount = rows.length;
  const fault = faultOfBatch(meta, { rowCount, newestRow: newestOf(rows), commands });
  if (fault !== undefined) return refused(fault.refusal);
  if (commands.length > 0 || !batch.placeBehindAll(rows)) {
    batch.prefetch([...rows.map(({ key }) => key), ...commands.flatMap(putKeysOf)]);
    for (const row of rows) batch.place(row);
    batch.withoutHistory(() => commands.forEach(replay));
  }
  meta.fill = { token, batches: number, isOpen: true, note: Buffer.from(fill.note) };
  return done(meta);
}

export function applyAdoption(
  batch: ApplyBatch,
  adoption: mvccV1.Adoption,
  entryIndex: number,
): ApplyResult {
  batch.endRevision();
  const { meta } = batch;
  const { token, sourceEpoch } = adoption;
  const revision = safeNumber(adoption.revision);
  const refusal = token === undefined ? undefined : whyNotEnded(meta, safeNumber(token));
  if (refusal !== undefined) return refused(refusal);
  if (sourceEpoch === undefined) {
    adoptAsOwn(meta, revision, entryIndex);
    // A batch of a puller may still be under way: no token reaches this one.
    const fence = { epoch: meta.fence?.epoch ?? 0, token: Number.MAX_SAFE_INTEGER };
    if (token === undefined) meta.fence = fence;
  } else {
    if (revision < meta.revision) return refused('revision');
    meta.revision = revision;
    meta.leaderIndex = revision;
    meta.leaderCheck = adoption.sourceCheck;
    // Tokens of leases begin with 1.
    meta.fence = { epoch: safeNumber(sourceEpoch), token: 0 };
  }
  meta.compactedRevision = meta.revision;
  meta.bornAtIndex = entryIndex;
  // Change rows of a table that has served stay until compaction removes them: no read reaches them.
  if (meta.fill === undefined) return done(meta);
  meta.floorEpoch = meta.epoch;
  meta.floorRevision = meta.revision;
  meta.fill = { ...meta.fill, isOpen: false, note: NO_NOTE };
  return done(meta);
}

/** Revisions go on above the floor, and above all that the table ever had. */
function adoptAsOwn(meta: Meta, floor: number, entryIndex: number): void {
  const own = entryIndex + meta.revisionOffset;
  const revision = Math.max(floor, meta.revision, meta.leaderIndex, own);
  meta.revisionOffset = revision - entryIndex;
  meta.revision = revision;
  meta.leaderIndex = 0;
  meta.leaderCheck = undefined;
}

function whyNotEnded({ fill }: Meta, token: number): FillRefusal | undefined {
  if (fill === undefined) return 'closed';
  return token < fill.token ? 'token' : undefined;
}

/** A table that anything was ever written into is not to be filled. */
function isUntouched({ keys, revision, leaderIndex, bornAtIndex }: Meta): boolean {
  return keys === 0 && revision === 0 && leaderIndex === 0 && bornAtIndex === 0;
}

function newestOf(rows: FillBatch['rows']): number {
  let newest = 0;
  for (const { modRevision } of rows) if (modRevision > newest) newest = modRevision;
  return newest;
}

function putKeysOf({ kv, batch }: mvccV1.Command): Buffer[] {
  return kv ? [kv.key] : batch.map(({ key }) => key);
}

function done({ revision }: Meta): ApplyResult {
  return { revision, succeeded: true, responses: [], skipped: false };
}

function refused(fillRefused: FillRefusal): ApplyResult {
  return { revision: 0, succeeded: false, responses: [], skipped: true, fillRefused };
}
