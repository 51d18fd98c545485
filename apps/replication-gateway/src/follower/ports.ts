/**
 * What the pullers of a follower cluster need of the world: the leader cluster they pull from, the
 * cluster they write into. Both are reached over gRPC; tests have them in memory.
 *
 * All calls have deadlines of their own and reject with GrpcStatusError. Numbers are plain ones
 * here.
 */
import { type hot } from '@flotilla/proto';

/** The leader cluster, by the protocol of Regatta (`replication.v1`). */
export interface LeaderCluster {
  /** Names of the tables that it replicates. That a name is missing says nothing of its table. */
  tables(signal: AbortSignal): Promise<readonly string[]>;
  /** The log from an index on; leaving the iteration ends the call. */
  log(table: string, from: number, signal: AbortSignal): AsyncIterable<hot.ReplicateMessage>;
  /** A whole table: pieces of a framed snappy stream. */
  snapshot(table: string, signal: AbortSignal): AsyncIterable<Buffer>;
}

/** What a table is a copy of; `tableId` is 0 where the leader cluster does not say. */
export interface CopySource {
  readonly tableId: number;
  readonly epoch: number;
}

/** A table of this cluster that is a copy. */
export interface Copy {
  readonly table: string;
  /** In this cluster; never used again for another table. */
  readonly id: number;
  readonly source: CopySource;
}

export interface Lease {
  readonly holder: string;
  readonly token: number;
  /** 0 once anybody may have it. */
  readonly remainingMs: number;
}

export interface ListedCopy extends Copy {
  /** Undefined if nobody has ever held it. */
  readonly lease: Lease | undefined;
}

export interface CopyList {
  readonly copies: readonly ListedCopy[];
  /** Tables that are no copies: their names are taken. */
  readonly localTables: readonly string[];
}

export interface LeaseHold {
  readonly copy: Copy;
  readonly holder: string;
  readonly token: number;
}

export interface Batch {
  readonly copy: Copy;
  readonly token: number;
  /** Each with its leader index, growing; none of them only takes the table over. */
  readonly commands: readonly Buffer[];
}

export type CreateOutcome = 'created' | 'exists' | 'other-source' | 'local';
export type DeleteOutcome = 'deleted' | 'missing' | 'other';
export type ApplyOutcome = 'applied' | 'other-epoch' | 'old-token';

export interface Applied {
  readonly outcome: ApplyOutcome;
  /** Last index of the leader cluster's log that the copy holds. */
  readonly leaderIndex: number;
}

/** Where the leader cluster stands. */
export interface Position {
  readonly copyId: number;
  readonly leaderIndex: number;
  readonly clockMs: number;
}

/** The cluster that the copies are in (`flotilla.replication.v1.ReplicaApply`). */
export interface OwnCluster {
  list(): Promise<CopyList>;
  create(table: string, source: CopySource): Promise<{ outcome: CreateOutcome; id: number }>;
  /** Deletes a table only if it is a copy of exactly this source. */
  delete(table: string, source: CopySource): Promise<DeleteOutcome>;
  /** Takes a lease (token 0) or holds on to it; undefined if somebody else has it. */
  acquire(hold: LeaseHold, ttlMs: number): Promise<Lease | undefined>;
  release(hold: LeaseHold): Promise<void>;
  /** A rejection other than a refusal leaves open whether it was applied. */
  apply(batch: Batch, signal: AbortSignal): Promise<Applied>;
  report(positions: readonly Position[]): Promise<void>;
}
