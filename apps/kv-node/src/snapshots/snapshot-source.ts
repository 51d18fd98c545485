/**
 * Gives away the state of tables, chunk by chunk, to replicas that fell behind.
 *
 *   ReadSnapshot(session, 0) --> a view of this moment is opened --> chunk 0
 *   ReadSnapshot(session, n) --> chunk n, or chunk n once more if the answer was lost
 *
 * The reader asks for each chunk, so memory holds one chunk a session, whatever the table's size. An
 * open view keeps old data on disk: sessions are few, and one that nobody asks for is closed.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type TableSnapshot, type TableStateMachine } from '@flotilla/mvcc';
import { peerV1 } from '@flotilla/proto';
import { StorageError, type Group, type SnapshotMetadata } from '@flotilla/raft';
import { type Cancel, type NodeClock } from '../node/node-clock.js';
import { toWire } from './snapshot-note.js';

/** Views that may be open at a time. */
export const VIEWS_MAX = 8;
/** Sessions that gave everything away and keep their last chunk, should its answer have been lost. */
const ENDED_MAX = 8;
/** A session nobody asked anything of for so long is closed. */
export const SESSION_IDLE_MS = 30_000;
const SWEEP_MS = 5_000;

export interface SnapshotOrigin {
  readonly table: TableStateMachine;
  readonly group: Pick<Group<unknown>, 'snapshotMetadata'>;
}

interface Session {
  readonly group: number;
  readonly view: TableSnapshot;
  readonly metadata: peerV1.SnapshotMetadata;
  latest: peerV1.SnapshotChunk | undefined;
  usedAtMs: number;
}

export class SnapshotSource {
  private readonly sessions = new Map<string, Session>();
  private stopSweeping: Cancel | undefined;

  constructor(
    private readonly origins: ReadonlyMap<number, SnapshotOrigin>,
    private readonly clock: Pick<NodeClock, 'nowMs' | 'every'>,
    private readonly onProgress: (group: number, to: number) => void,
  ) {}

  get openViews(): number {
    return [...this.sessions.values()].filter(({ latest }) => !latest?.last).length;
  }

  start(): void {
    this.stopSweeping = this.clock.every(SWEEP_MS, () => this.closeIdle());
  }

  close(): void {
    this.stopSweeping?.();
    for (const key of [...this.sessions.keys()]) this.end(key);
  }

  /** The group does not run here any more: its views end. */
  forget(group: number): void {
    for (const [key, session] of [...this.sessions]) if (session.group === group) this.end(key);
  }

  /** Throws GrpcStatusError: not found, busy, or a session that is not there any more. */
  read(from: number, request: peerV1.SnapshotRequest): peerV1.SnapshotChunk {
    const group = Number(request.group);
    const chunk = Number(request.chunk);
    const key = `${from}/${group}/${request.session.toString('hex')}`;
    const session = this.sessions.get(key) ?? this.open(key, group, chunk);
    session.usedAtMs = this.clock.nowMs();
    this.onProgress(group, from);
    if (session.latest && Number(session.latest.chunk) === chunk) return session.latest;
    const expected = session.latest ? Number(session.latest.chunk) + 1 : 0;
    if (chunk !== expected || session.latest?.last) {
      throw lost(`chunk ${chunk} was asked for where ${expected} comes next`);
    }
    const next = session.view.next();
    if (!next) throw lost('the snapshot has ended');
    session.latest = {
      chunk: request.chunk,
      data: next.data,
      last: next.last,
      metadata: session.metadata,
    };
    if (next.last) {
      session.view.close();
      this.forgetEnded();
    }
    return session.latest;
  }

  private open(key: string, group: number, chunk: number): Session {
    const origin = this.origins.get(group);
    if (!origin) {
      throw new GrpcStatusError(status.NOT_FOUND, `group ${group} does not run on this node`);
    }
    if (chunk !== 0) throw lost('there is no such session');
    if (this.openViews >= VIEWS_MAX) {
      throw new GrpcStatusError(status.UNAVAILABLE, 'too many snapshots are being read');
    }
    const metadata = toWire(metadataOf(origin));
    const view = origin.table.openSnapshot();
    const session = { group, view, metadata, latest: undefined, usedAtMs: this.clock.nowMs() };
    this.sessions.set(key, session);
    return session;
  }

  /** The oldest first. */
  private forgetEnded(): void {
    const ended = [...this.sessions].filter(([, { latest }]) => latest?.last);
    for (const [key] of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) this.end(key);
  }

  private closeIdle(): void {
    const before = this.clock.nowMs() - SESSION_IDLE_MS;
    for (const [key, { usedAtMs }] of [...this.sessions]) if (usedAtMs < before) this.end(key);
  }

  private end(key: string): void {
    this.sessions.get(key)?.view.close();
    this.sessions.delete(key);
  }
}

/** A state that is no snapshot yet will soon be one. */
function metadataOf({ group }: SnapshotOrigin): SnapshotMetadata {
  try {
    return group.snapshotMetadata();
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw new GrpcStatusError(status.UNAVAILABLE, error.message, undefined, { cause: error });
  }
}

/** The reader has to begin anew, with another session. */
function lost(reason: string): GrpcStatusError {
  return new GrpcStatusError(status.FAILED_PRECONDITION, `snapshot session lost: ${reason}`);
}
