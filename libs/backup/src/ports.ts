/**
 * What a backup reads tables from, and what a restore writes them to: the nodes of a cluster, or fakes.
 *
 * Whoever stands behind these ports tells by the code of a `BackupError` what can be done about a
 * failure: `SOURCE_CUT` to go on where it broke, `REVISION_GONE` and `TABLE_CHANGED` as they say.
 */
import { type Row } from './format/records.js';

export interface SourceTable {
  readonly name: string;
  readonly tableId: number;
  readonly epoch: number;
}

export interface SourceCluster {
  readonly clusterId: string;
  readonly tables: readonly SourceTable[];
}

export interface ReadRequest {
  readonly table: SourceTable;
  /** 0 for as it is, everything acknowledged before included. */
  readonly atRevision: number;
  /** Only keys behind it. */
  readonly afterKey: Buffer | undefined;
  /** Only what changed after it; 0 for everything. */
  readonly sinceRevision: number;
}

export interface SourcePosition {
  readonly tableId: number;
  readonly epoch: number;
  readonly appliedIndex: number;
  readonly revision: number;
}

export interface SourceChunk {
  /** In the first one. */
  readonly position: SourcePosition | undefined;
  /** In the order of keys, as are the deleted ones; chunk by chunk all keys grow. */
  readonly rows: readonly Row[];
  readonly deletedKeys: readonly Buffer[];
}

export interface TableSource {
  cluster(signal: AbortSignal): Promise<SourceCluster>;
  /** Ends only when all was given. */
  read(request: ReadRequest, signal: AbortSignal): AsyncIterable<SourceChunk>;
}

/** One entry of a table's log; an empty command stands for none. */
export interface LogEntry {
  readonly index: number;
  readonly command: Buffer;
}

export interface LogPart {
  /** In the order of indexes, without gaps, from the wanted one on. */
  readonly entries: readonly LogEntry[];
  /** The wanted entry is gone: the log begins at this one, and nothing follows. */
  readonly cutAt: number | undefined;
  /** Check of the last entry, where it is told. */
  readonly lastCheck?: bigint | undefined;
  /** The log is not the one that the wanted entry follows: nothing comes after this. */
  readonly diverged?: boolean | undefined;
  /** The largest index there was when this was sent. */
  readonly appliedIndex: number;
}

export interface FollowRequest {
  readonly table: SourceTable;
  /** Index of the first wanted entry, from 1. */
  readonly from: number;
  /** Check of the entry before that, as the reader has it. */
  readonly previousCheck?: bigint | undefined;
  /** Bytes of commands in a part; one command may be larger. */
  readonly partBytesMax: number;
}

export interface LogSource {
  /** All tables, and all of them again whenever that changed. Ends when it cannot tell any more. */
  watch(signal: AbortSignal): AsyncIterable<SourceCluster>;
  /** Entries as they come; what is not read is not sent. An end says only that it is to be opened again. */
  follow(request: FollowRequest, signal: AbortSignal): AsyncIterable<LogPart>;
}

export interface ShadowHandle {
  readonly table: string;
  readonly tableId: number;
  readonly token: number;
}

export type BeginOutcome =
  | {
      readonly kind: 'begun' | 'resumed';
      readonly shadow: ShadowHandle;
      readonly batches: number;
      readonly note: Buffer;
    }
  | { readonly kind: 'occupied'; readonly purpose: string }
  | { readonly kind: 'local' };

export interface FillOutcome {
  readonly kind: 'written' | 'old-token' | 'out-of-order';
  readonly batches: number;
}

export interface CompleteOutcome {
  readonly kind: 'completed' | 'old-token' | 'other-table' | 'missing';
  readonly revision: number;
  readonly epoch: number;
}

export interface FillRequest {
  readonly shadow: ShadowHandle;
  /** From 1, each once. */
  readonly batch: number;
  readonly rows: readonly Row[];
  /** Applied after the rows, each at the revision that is its index; none of them is empty. */
  readonly commands: readonly LogEntry[];
  readonly note: Buffer;
}

/** A batch in the form in which it is sent: made while the one before it is on its way. */
export interface ReadyBatch {
  send(signal: AbortSignal): Promise<FillOutcome>;
}

export interface CompleteRequest {
  readonly shadow: ShadowHandle;
  /** Table that the name means now; 0 for none. */
  readonly replacesTableId: number;
  readonly revision: number;
}

export interface ShadowWriter {
  begin(table: string, purpose: string, replace: boolean): Promise<BeginOutcome>;
  /** Sends nothing yet, and keeps nothing of the request but its bytes. */
  ready(request: FillRequest): ReadyBatch;
  complete(request: CompleteRequest): Promise<CompleteOutcome>;
  drop(shadow: ShadowHandle): Promise<boolean>;
}
