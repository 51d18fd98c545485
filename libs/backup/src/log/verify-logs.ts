/**
 * Reads the logs again that go on from a backup.
 *
 *   backup at revision B --> pieces with revisions above B, every entry        a table in no backup: all pieces
 *
 * In: a backup, all good ones, the catalog of logs. Out: findings. A gap is one only where no newer backup of the
 * table lies behind it: from that one on everything can be restored again.
 */
import { type Manifest, type ManifestTable } from '../format/manifest.js';
import { logEpochFolder } from '../format/log-names.js';
import { recordBytes } from '../format/records.js';
import { caught, type Findings, readable } from '../read/findings.js';
import { type LogCatalog, type ShippedEpoch } from './log-catalog.js';
import { gapsOf, runsOf } from './log-coverage.js';

export interface VerifyLogsParts {
  readonly logs: LogCatalog;
  readonly findings: Findings;
  readonly signal: AbortSignal;
}

export interface ReadPiece {
  /** Pieces of the table that were read so far. */
  readonly pieces: number;
  readonly plainBytes: number;
}

type OnPiece = (table: string, read: ReadPiece) => void;

export async function verifyLogs(
  { logs, findings, signal }: VerifyLogsParts,
  backup: Manifest,
  good: readonly Manifest[],
  onPiece: OnPiece,
): Promise<void> {
  for await (const shipped of logs.all(signal)) {
    const told = await readable(() => logs.table(shipped.tableId, signal));
    const partsOf = ({ clusterId, tables }: Manifest) =>
      (told?.clusterId ?? clusterId) === clusterId
        ? tables.filter(({ tableId, epoch }) => {
            return tableId === shipped.tableId && epoch === shipped.epoch;
          })
        : [];
    const [part] = partsOf(backup);
    const others = good.flatMap(partsOf);
    // What another backup begins, is read with that one.
    if (!part && others.length > 0) continue;
    const base = part?.revision ?? 0;
    const pieces = shipped.pieces.filter(({ last }) => last > base);
    if (pieces.length === 0) continue;
    const name = part?.name ?? `with id ${shipped.tableId}`;
    const note = (error: unknown) => findings.note(error, backup.id, name);
    await caught(note, async () => {
      const keyIds = await logs.keyIds(shipped.tableId, signal);
      for (const [at, piece] of pieces.entries()) {
        let plainBytes = 0;
        await caught(note, async () => {
          const entries = await logs.entries(piece, keyIds, signal);
          plainBytes = entries.reduce((sum, entry) => sum + recordBytes(entry), 0);
        });
        onPiece(name, { pieces: at + 1, plainBytes });
      }
    });
    const newest = others.reduce((most, { revision }) => Math.max(most, revision), 0);
    for (const message of missingIn({ ...shipped, pieces }, part, newest)) {
      findings.add({ backup: backup.id, table: name, message });
    }
  }
}

/** Revisions that cannot be restored for want of entries. */
function missingIn(
  { tableId, epoch, pieces }: ShippedEpoch,
  part: ManifestTable | undefined,
  newestBackup: number,
): readonly string[] {
  const backedUp = part ? [{ first: 0, last: part.revision }] : [];
  return gapsOf([...backedUp, ...runsOf(pieces)])
    .filter(({ first, last }) => first <= last && newestBackup < last)
    .map(({ first, last }) => {
      return `${logEpochFolder(tableId, epoch)}: revisions ${first} to ${last} are missing`;
    });
}
