/**
 * A table as a deterministic state machine over versions.
 */
import type { mvccV1 } from '@flotilla/proto';
import type { Engine } from '../engine/engine.js';
import type {
  ApplyResult,
  CompactResult,
  Hasher,
  LogEntry,
  RangePage,
  RangeQuery,
  TableIterator,
  TableRow,
  TableState,
  TableStats,
  TxnResult,
} from './table-types.js';

export interface TableStateMachineOptions {
  engine: Engine;
  /** Numeric id of the table: an unsigned 32-bit integer, never used twice on one engine. */
  tableId: number;
}

export interface TableStateMachineApi {
  readonly state: Readonly<TableState>;
  apply(entries: readonly LogEntry[]): ApplyResult[];
  get(key: Uint8Array, options?: { revision?: number }): TableRow | undefined;
  range(query: RangeQuery): RangePage;
  iterate(query: RangeQuery): TableIterator;
  evaluateReadOnlyTxn(txn: mvccV1.Txn): TxnResult;
  compact(revision: number, options?: { rowsMax?: number }): CompactResult;
  hash(hasher: Hasher, options?: { revision?: number }): { revision: number; rows: number };
  stats(): TableStats;
  destroy(): void;
}
