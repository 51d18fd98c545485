/**
 * What a reader of a table wants, as pages in the order of keys.
 *
 *   everything, as it is     everything, at a revision     what changed since a revision, deleted keys too
 *
 * In: a request, and the table. Out: pages of one moment, and where that lies in the log: the entry after it is the
 * first one that is not in the pages. What history does not tell any more is refused.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import {
  type FeedPage,
  type MayGoOn,
  TableError,
  type TableErrorCode,
  type TableRow,
  type TableStateMachine,
} from '@flotilla/mvcc';
import { FEED_REASON, FEED_REASONS, type FeedReason, type feedV1, hot } from '@flotilla/proto';
import { invalid } from '../kv/errors.js';

export interface TableWanted {
  /** 0 for as it is. */
  readonly atRevision: number;
  /** 0 for everything. */
  readonly sinceRevision: number;
  readonly afterKey: Buffer;
  readonly pageBytesMax: number;
}

/** What is read of a page: rows that were looked at one by one, or the whole page, packed, at its end. */
export interface TablePiece {
  readonly rows: readonly TableRow[];
  readonly deletedKeys: readonly Buffer[];
  readonly packed?: FeedPage;
  readonly more: boolean;
  readonly isLast: boolean;
}

export interface TablePages {
  /** The largest index that the pages reflect. */
  readonly appliedIndex: number;
  readonly revision: number;
  /** Of that entry in the log of the group. */
  readonly logIndex: number;
  /** The next piece of a page. Throws GrpcStatusError. */
  slice(mayGoOn: MayGoOn): TablePiece | undefined;
  close(): void;
}

export function tableWanted(request: feedV1.ReadTableRequest, pageBytesMax: number): TableWanted {
  return {
    atRevision: revisionOf('at_revision', request.atRevision),
    sinceRevision: revisionOf('since_revision', request.sinceRevision),
    afterKey: request.afterKey,
    pageBytesMax,
  };
}

/** Throws FailedPrecondition if the revisions cannot be read any more, or not yet. */
export function openTablePages(machine: TableStateMachine, wanted: TableWanted): TablePages {
  const { revision, revisionOffset } = machine.state;
  // On the wire an index is the revision that its entry has or would have.
  const appliedIndex = machine.state.appliedIndex + revisionOffset;
  const { atRevision, sinceRevision } = wanted;
  const where =
    atRevision === 0
      ? { appliedIndex, revision }
      : // The log goes on with the next entry, whatever lies between the revision and that.
        { appliedIndex: atRevision, revision: atRevision };
  const view = refusing(() => {
    if (sinceRevision > 0) return openChanges(machine, wanted);
    return where.revision === revision ? openNewest(machine, wanted) : openRows(machine, wanted);
  });
  return {
    ...where,
    logIndex: where.appliedIndex - revisionOffset,
    slice: (mayGoOn) => refusing(() => view.slice(mayGoOn)),
    close: () => view.close(),
  };
}

type Pieces = Pick<TablePages, 'slice' | 'close'>;

/** Everything as it is: what is asked for most, and costs least. */
function openNewest(machine: TableStateMachine, { afterKey, pageBytesMax }: TableWanted): Pieces {
  const view = machine.iterateFeed({
    ...{ afterKey, pageBytesMax },
    headBytes: hot.TABLE_CHUNK_HEAD_BYTES,
    tailBytes: hot.TABLE_CHUNK_TAIL_BYTES,
  });
  return {
    slice: (mayGoOn) => {
      const slice = view.slice(mayGoOn);
      if (slice === undefined) return undefined;
      if (!slice.isLast) return UNFINISHED;
      return { rows: [], deletedKeys: [], packed: slice.page, more: slice.more, isLast: true };
    },
    close: () => view.close(),
  };
}

const UNFINISHED: TablePiece = { rows: [], deletedKeys: [], more: true, isLast: false };

function openRows(machine: TableStateMachine, wanted: TableWanted): Pieces {
  const { atRevision: revision, afterKey, pageBytesMax } = wanted;
  // The first key above another one is that one and a zero byte.
  const key = afterKey.length === 0 ? afterKey : Buffer.concat([afterKey, ZERO]);
  const view = machine.iterate({ key, rangeEnd: ZERO, revision, pageBytesMax });
  return {
    slice: (mayGoOn) => {
      const slice = view.slice(mayGoOn);
      return slice && { rows: slice.kvs, deletedKeys: [], more: slice.more, isLast: slice.isLast };
    },
    close: () => view.close(),
  };
}

function openChanges(machine: TableStateMachine, wanted: TableWanted): Pieces {
  const { atRevision: revision, sinceRevision: since, afterKey, pageBytesMax } = wanted;
  return machine.iterateChanges({ since, revision, afterKey, pageBytesMax });
}

/** As the end of a range: every key. */
const ZERO = Buffer.from([0]);

/** What a reader has to do something about: begin anew, or with everything. */
const REFUSALS: ReadonlyMap<TableErrorCode, FeedReason> = new Map([
  ['TABLE_COMPACTED', FEED_REASONS.revisionGone],
  ['TABLE_FUTURE_REVISION', FEED_REASONS.revisionAhead],
  ['TABLE_CHANGES_TOO_MANY', FEED_REASONS.revisionGone],
]);

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof TableError ? REFUSALS.get(error.code) : undefined;
    if (!(error instanceof TableError) || !reason) throw error;
    const metadata = { [FEED_REASON]: reason };
    throw new GrpcStatusError(status.FAILED_PRECONDITION, error.message, metadata, {
      cause: error,
    });
  }
}

function revisionOf(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`${field} must be below 2^53`);
  return Number(value);
}
