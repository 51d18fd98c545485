/**
 * Which logs there are, as operators are told: from where to where each can be restored.
 *
 * In: the catalog of logs, good backups. Out: runs without gaps, by table and epoch. Of each run the first and the
 * last piece are read, for their times; one that cannot be read leaves its time open, and a verification names it.
 */
import { type EntryRecord } from '../format/records.js';
import { type Manifest } from '../format/manifest.js';
import { readable } from '../read/findings.js';
import { inParallel } from '../write/in-parallel.js';
import { type LogCatalog, type ShippedEpoch } from './log-catalog.js';
import { type LogPiece, type LogRun, runsOf } from './log-coverage.js';

export interface ListedLog {
  /** Empty if that cannot be read. */
  readonly table: string;
  readonly tableId: number;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
  /** When they were seen; 0 if that cannot be read. */
  readonly firstAtMs: number;
  readonly lastAtMs: number;
  readonly storedBytes: number;
  readonly objects: number;
  /** The smallest revision of the run that can be restored; 0 for none: there is no backup to go on from. */
  readonly restorableFrom: number;
  readonly restorableFromMs: number;
}

/** Pieces that are read at the same time. */
const READS_AT_ONCE = 8;

export async function listLogs(
  logs: LogCatalog,
  good: readonly Manifest[],
  signal: AbortSignal,
): Promise<readonly ListedLog[]> {
  const found: { readonly shipped: ShippedEpoch; readonly run: LogRun }[] = [];
  for await (const shipped of logs.all(signal)) {
    for (const run of runsOf(shipped.pieces)) found.push({ shipped, run });
  }
  return inParallel(found, READS_AT_ONCE, signal, ({ shipped, run }, either) =>
    listed(logs, good, shipped, run, either),
  );
}

async function listed(
  logs: LogCatalog,
  good: readonly Manifest[],
  { tableId, epoch, pieces }: ShippedEpoch,
  { first, last, pieces: chosen }: LogRun,
  signal: AbortSignal,
): Promise<ListedLog> {
  const told = await readable(() => logs.table(tableId, signal));
  const read = (piece: LogPiece | undefined) =>
    readable(async () => piece && logs.entries(piece, told?.keyIds ?? [], signal));
  const begin: readonly EntryRecord[] | undefined = await read(chosen[0]);
  const end = chosen.length > 1 ? await read(chosen.at(-1)) : begin;
  const firstAtMs = begin?.[0]?.atMs ?? 0;
  const within = pieces.filter((piece) => piece.first >= first && piece.last <= last);
  const ofCluster = good.filter(({ clusterId }) => clusterId === (told?.clusterId ?? clusterId));
  const backup = oldestBackup(ofCluster, { tableId, epoch, first, last });
  return {
    table: told?.name ?? '',
    tableId,
    epoch,
    first,
    last,
    firstAtMs,
    lastAtMs: end?.at(-1)?.atMs ?? 0,
    storedBytes: within.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    objects: within.length,
    restorableFrom: first === 1 ? 1 : (backup?.revision ?? 0),
    restorableFromMs: first === 1 ? firstAtMs : (backup?.atMs ?? 0),
  };
}

interface Wanted {
  readonly tableId: number;
  readonly epoch: number;
  readonly first: number;
  readonly last: number;
}

/** That a run goes on from. */
function oldestBackup(good: readonly Manifest[], { tableId, epoch, first, last }: Wanted) {
  return good
    .flatMap(({ tables, finishedAt }) => {
      const isOf = (table: (typeof tables)[number]) =>
        table.tableId === tableId && table.epoch === epoch;
      return tables
        .filter(isOf)
        .map(({ revision }) => ({ revision, atMs: Date.parse(finishedAt) }));
    })
    .filter(({ revision }) => revision >= first - 1 && revision <= last)
    .reduce<{ revision: number; atMs: number } | undefined>(
      (least, each) => (least && least.revision <= each.revision ? least : each),
      undefined,
    );
}
