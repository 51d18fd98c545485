/**
 * What the pullers of a follower cluster need of the world: the leader cluster they pull from, the
 * cluster they write into, and a place for what must outlive a gateway. The clusters are reached over
 * gRPC; tests have them in memory.
 *
 * All calls have deadlines of their own and reject with GrpcStatusError. Numbers are plain ones
 * here.
 */
import { type hot } from '@flotilla/proto';

/** What a table is a copy of; `tableId` is 0 where the leader cluster does not say. */
export interface CopySource {
  readonly tableId: number;
  readonly epoch: number;
}

/** A table of the leader cluster; `tableId` is 0 where that does not say. */
export interface LeaderTable {
  readonly table: string;
  readonly source: CopySource;
}

/** Which tables the leader cluster has, as far as it said. */
export interface LeaderTables {
  /** By name. */
  readonly sources: ReadonlyMap<string, CopySource>;
  /** Whether its ids and epochs can be relied on, and changes are told by `changed`. */
  readonly isPushed: boolean;
  /** Whether a table is certainly gone; that its name is missing is no proof. */
  isDeleted(source: CopySource): boolean;
}

/** Where the log of the leader cluster stands, on its clock; undefined if it does not tell. */
export interface LogMessage extends Pick<
  hot.ReplicateMessage,
  'kind' | 'entries' | 'error' | 'leaderIndex'
> {
  readonly leaderClockMs?: number;
  /** Check of the last entry, if it is known. */
  readonly lastCheck?: bigint | undefined;
  /** Set if the copy has another entry before the wanted one than the leader cluster: how they differ. */
  readonly divergence?: string;
}

/** Where a log is read from. */
export interface LogStart {
  readonly from: number;
  /** Check of the entry before it, as the copy has it; undefined if it does not know. */
  readonly previousCheck?: bigint | undefined;
}

/** A log as it comes; leaving the iteration ends it. */
export interface LogStream extends AsyncIterable<LogMessage> {
  /** Entries that hold no command may be left out; otherwise indexes have no gaps. */
  readonly mayLeaveOut: boolean;
  /** Everything up to an index is in the copy: it need not be kept any more. */
  applied(index: number): void;
}

export interface Row {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

/** A piece of a table, in the order of keys. */
export interface SnapshotPiece {
  readonly rows: readonly Row[];
  /** Keys that were deleted, where only changes were asked for. */
  readonly deletedKeys: readonly Buffer[];
  /** As it came over the network. */
  readonly bytes: number;
  readonly isLast: boolean;
  /** Of the whole table, with the last piece, where the leader cluster tells it. */
  readonly tableDigest?: Buffer | undefined;
}

/** Where a copy stands in the log of the leader cluster. */
export interface CopyPosition {
  readonly index: number;
  /** Of the entry at that index; undefined if it is not known. */
  readonly check?: bigint | undefined;
}

export interface SnapshotWish {
  /** 0 for everything. */
  readonly sinceRevision: number;
  /** 0 for as it is now. */
  readonly atRevision: number;
  readonly afterKey: Buffer;
}

/** What a snapshot stands for: `index` of the log, `revision` to ask for the same one again. */
export interface SnapshotPosition extends CopyPosition {
  readonly revision: number;
}

export interface RowSnapshot {
  readonly position: SnapshotPosition;
  readonly pieces: AsyncIterable<SnapshotPiece>;
}

export type LeaderSnapshot =
  | { readonly kind: 'rows'; readonly open: RowSource }
  /** Pieces of a framed snappy stream of pairs. */
  | { readonly kind: 'pairs'; readonly open: (signal: AbortSignal) => AsyncIterable<Buffer> };

/** Rejects with FailedPrecondition where what is asked for cannot be read any more. */
export type RowSource = (wish: SnapshotWish, signal: AbortSignal) => Promise<RowSnapshot>;

/** Whoever keeps where all logs stand, and is told that for all tables at once. */
export interface StandingListener {
  /** The log of a table, that is read, stands there from now on: its reader is told the same. */
  moved(table: string, leaderIndex: number): void;
  /** Nothing is known of it any more, until it `moved`. */
  left(table: string): void;
  /** So all logs stand at this moment of the leader cluster's clock. */
  clock(leaderClockMs: number): void;
}

/** The leader cluster: by a stream that all tables share, or by the protocol of Regatta. */
export interface LeaderCluster {
  /** Absent where each reader hears alone. */
  listen?(listener: StandingListener): void;
  tables(signal: AbortSignal): Promise<LeaderTables>;
  /** What it said last, if it is known now. */
  readonly known: LeaderTables | undefined;
  /** Settles when `tables` would say something else, if it can know, or the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
  /** The log from an index on. One that is polled compares nothing with the check. */
  log(of: LeaderTable, start: LogStart, signal: AbortSignal): LogStream;
  /** A whole table, or what changed in it. */
  snapshot(of: LeaderTable, signal: AbortSignal): Promise<LeaderSnapshot>;
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
  /** It is to be made anew; it is served until then. */
  readonly renewalWanted?: true;
}

export interface CopyList {
  readonly copies: readonly ListedCopy[];
  /** Tables that are no copies: their names are taken. */
  readonly localTables: readonly string[];
  /** Another one whenever there are other copies, leases or sessions than before. */
  readonly version: number;
}

/** A gateway that lives. */
export interface LivingGateway {
  readonly holder: string;
  /** How long it still does, if nothing more is heard of it. */
  readonly remainingMs: number;
}

export interface SessionWish {
  readonly holder: string;
  /** Of the session that it has; 0 to open one. */
  readonly token: number;
  readonly ttlMs: number;
}

export interface HeldSession {
  readonly token: number;
  /** All that live, this one among them. */
  readonly gateways: readonly LivingGateway[];
  /** As in `CopyList`. */
  readonly version: number;
}

/** Under which session leases are taken. */
export interface SessionName {
  readonly holder: string;
  readonly token: number;
}

export interface HeldLease {
  readonly copy: Copy;
  readonly token: number;
}

export interface Batch {
  readonly copy: Copy;
  readonly token: number;
  /** Each with its leader index, growing; none of them only takes the table over. */
  readonly commands: readonly Buffer[];
  /** Of the entry that the last command was; undefined if it is not known. */
  readonly lastCheck?: bigint | undefined;
}

export type CreateOutcome = 'created' | 'exists' | 'other-source' | 'local';
export type DeleteOutcome = 'deleted' | 'missing' | 'other';
export type ApplyOutcome = 'applied' | 'other-epoch' | 'old-token';

export interface Applied {
  readonly outcome: ApplyOutcome;
  /** Last index of the leader cluster's log that the copy holds. */
  readonly leaderIndex: number;
  /** Of the entry there; undefined if it is not known. */
  readonly leaderCheck?: bigint | undefined;
}

/** Where the leader cluster stands. */
export interface Position {
  readonly copyId: number;
  readonly leaderIndex: number;
  readonly clockMs: number;
  /** It is so at later clocks too, until it is told otherwise. */
  readonly stands: boolean;
}

/** How a table is pulled. */
export interface PullerTold {
  readonly gateway: string;
  readonly state: string;
  /** Kind of what is wrong; empty if nothing is. */
  readonly lastError: string;
  readonly copyIndex: number;
  readonly receivedBytes: number;
  readonly snapshotBytes: number;
}

/** A position with what its puller does; the position is none if its clock is 0. */
export interface ReportedPosition extends Position {
  readonly puller?: PullerTold;
}

/** What changed since the report before, or all. */
export interface PositionReport {
  readonly gateway: string;
  readonly sequence: number;
  readonly isAll: boolean;
  /** Of the leader cluster; 0 if it was not heard. */
  readonly clockMs: number;
  readonly positions: readonly ReportedPosition[];
  /** Copies whose positions do not stand any more. */
  readonly moved: readonly number[];
  /** Copies that are not pulled any more. */
  readonly left: readonly number[];
}

export type BeginOutcome = 'begun' | 'resumed' | 'occupied' | 'local';
export type FillOutcome = 'written' | 'old-token' | 'out-of-order';
export type CompleteOutcome = 'completed' | 'old-token' | 'other-table' | 'missing';

/** A table that is filled out of sight. */
export interface Shadow {
  readonly table: string;
  readonly id: number;
  readonly purpose: string;
  readonly token: number;
  /** Undefined if it is to be no copy. */
  readonly source: CopySource | undefined;
  /** Of a copy that is wanted anew: none of the rows that are there is to be used. */
  readonly renews?: true;
}

export interface BegunShadow {
  readonly outcome: BeginOutcome;
  /** Of whoever has the name, if it is occupied. */
  readonly shadow: Shadow | undefined;
  readonly batches: number;
  readonly note: Buffer;
}

export interface ShadowWish {
  readonly table: string;
  readonly purpose: string;
  readonly source: CopySource;
  /** Gives up what another purpose, or another source, has begun. */
  readonly replace: boolean;
}

export interface FillBatch {
  /** From 1 on; one that was written is not written again. */
  readonly batch: number;
  readonly rows: readonly Row[];
  readonly note: Buffer;
}

/** Tables that take a name over once they are complete (`flotilla.tables.v1.ShadowTables`). */
export interface ShadowTables {
  begin(wish: ShadowWish): Promise<BegunShadow>;
  fill(shadow: Shadow, batch: FillBatch, signal: AbortSignal): Promise<FillOutcome>;
  complete(shadow: Shadow, replacesId: number, position: CopyPosition): Promise<CompleteOutcome>;
  drop(shadow: Shadow): Promise<void>;
  list(): Promise<readonly Shadow[]>;
  /** The rows of a copy after a key, in the order of keys, a piece at a time. */
  read(copy: Copy, afterKey: Buffer, signal: AbortSignal): AsyncIterable<readonly Row[]>;
}

/** The cluster that the copies are in (`flotilla.replication.v1.ReplicaApply`). */
export interface OwnCluster {
  list(): Promise<CopyList>;
  create(table: string, source: CopySource): Promise<{ outcome: CreateOutcome; id: number }>;
  /** Deletes a table only if it is a copy of exactly this source. */
  delete(table: string, source: CopySource): Promise<DeleteOutcome>;
  /** Opens a session or holds on to it; undefined if there is no such one any more. */
  holdSession(wish: SessionWish): Promise<HeldSession | undefined>;
  /** Everything that is held under it is anybody's from then on. */
  endSession(session: SessionName): Promise<void>;
  /**
   * Takes leases: one token for each copy, 0 where somebody else has it; undefined if there is no such
   * session any more. No more than `LEASES_PER_CALL_MAX`.
   */
  takeLeases(session: SessionName, copies: readonly Copy[]): Promise<readonly number[] | undefined>;
  giveBackLeases(holder: string, leases: readonly HeldLease[]): Promise<void>;
  /** A rejection other than a refusal leaves open whether it was applied. */
  apply(batch: Batch, signal: AbortSignal): Promise<Applied>;
  /** Whether the next one has to hold all. */
  report(report: PositionReport): Promise<boolean>;
}

/** Nodes take no more leases in one call. */
export const LEASES_PER_CALL_MAX = 128;

/** A leader cluster by the promotions that led to it; a lower number was replaced. */
export interface Generation {
  readonly number: number;
  /** Of the leader cluster that had it; empty before the first one. */
  readonly clusterId: string;
}

/** The highest generation that this cluster has followed; it must outlive its gateways. */
export interface Generations {
  highest(): Promise<Generation>;
  /** Never goes back: a lower one than is known is left out. */
  remember(generation: Generation): Promise<void>;
}
