/**
 * Fetches the state of tables whose replica here fell behind, and hands it to the Raft host.
 *
 *   announced --> queued --> chunks into the inactive slot --> engine synced --> log and state swap
 *                               |
 *                               +-- the connection broke: asked again from the same chunk
 *
 * The old state serves until the swap. A few transfers run at a time, each with two chunks in
 * memory; a transfer that fails leaves nothing behind but rows that the next one clears.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { openStage, type Engine, type TableStage, type TableStateMachine } from '@flotilla/mvcc';
import { peerV1 } from '@flotilla/proto';
import { type Logger } from '@flotilla/platform';
import { type Host, type SnapshotFetcher, type SnapshotMetadata } from '@flotilla/raft';
import { type NodeClock } from '../node/node-clock.js';
import { type PeerCalls } from '../node/peer-calls.js';
import { encodeNote, fromWire } from './snapshot-note.js';

/** Transfers at a time; more wait. */
export const FETCHES_MAX = 4;
/** For so long a chunk is asked for again before the transfer is given up. */
const CHUNK_RETRY_MS = 30_000;
const CHUNK_TIMEOUT_MS = 10_000;
const RETRY_PAUSE_MS = 200;
/** The host takes a snapshot over in its next turn; more means that it stopped. */
const TAKE_OVER_MS = 30_000;
const READ_SNAPSHOT = '/flotilla.peer.v1.Peer/ReadSnapshot';

export interface FetchTargets {
  get(group: number): { readonly table: TableStateMachine } | undefined;
}

export interface FetchStats {
  readonly installed: number;
  readonly failed: number;
  readonly running: number;
}

export class GroupSnapshotFetcher implements SnapshotFetcher {
  private readonly queued = new Map<number, number>();
  private readonly running = new Map<number, Promise<void>>();
  private readonly stop = new AbortController();
  private host: Host | undefined;
  private installedCount = 0;
  private failedCount = 0;

  constructor(
    private readonly engine: Engine,
    private readonly targets: FetchTargets,
    private readonly peers: PeerCalls,
    private readonly logger: Logger,
    private readonly clock: NodeClock,
  ) {}

  attach(host: Host): void {
    this.host = host;
  }

  stats(): FetchStats {
    const { installedCount, failedCount } = this;
    return { installed: installedCount, failed: failedCount, running: this.running.size };
  }

  /** SnapshotFetcher: bounded by the number of groups, each once. */
  wanted(group: number, from: number, metadata: SnapshotMetadata): void {
    if (this.running.has(group) || this.stop.signal.aborted) return;
    const target = this.targets.get(group);
    if (!target || target.table.state.appliedIndex >= metadata.index) return;
    this.queued.set(group, from);
    this.pump();
  }

  /** Running transfers end; idempotent. */
  async close(): Promise<void> {
    this.stop.abort();
    this.queued.clear();
    await Promise.all(this.running.values());
  }

  private pump(): void {
    for (const [group, from] of this.queued) {
      if (this.running.size >= FETCHES_MAX) return;
      this.queued.delete(group);
      const fetching = this.fetch(group, from)
        .catch((error: unknown) => this.failed(group, from, error))
        .finally(() => {
          this.running.delete(group);
          this.pump();
        });
      this.running.set(group, fetching);
    }
  }

  private failed(group: number, from: number, error: unknown): void {
    this.failedCount++;
    if (this.stop.signal.aborted) return;
    this.logger.warn({ group, from, err: error }, 'a snapshot could not be fetched');
  }

  private async fetch(group: number, from: number): Promise<void> {
    const startedMs = this.clock.nowMs();
    const stage = openStage({ engine: this.engine, tableId: group });
    const { metadata, bytes } = await this.fill(stage, group, from);
    // The log would begin after an entry that the state does not hold, or hold one twice.
    if (stage.state?.appliedIndex !== metadata.index) {
      stage.discard();
      throw new Error(`the state that came is not that of entry ${metadata.index}`);
    }
    const note = encodeNote(metadata);
    stage.finish(note);
    await this.engine.sync();
    const table = this.targets.get(group)?.table;
    if (!table || table.state.appliedIndex >= metadata.index) return stage.discard();
    // Stopped and started again meanwhile, the group has cleared what it had not taken over.
    if (!table.stagedNote()?.equals(note)) throw new Error('the group began anew meanwhile');
    if (!this.host?.installSnapshot(group, metadata)) {
      stage.discard();
      throw new Error('the group did not take it: it has no leader now, or caught up otherwise');
    }
    // Until log and state have taken it over, nobody may clear the slot for the next one.
    await this.untilTaken(group, metadata.index);
    this.installedCount++;
    const durationMs = Math.round(this.clock.nowMs() - startedMs);
    const { index } = metadata;
    this.logger.info({ group, from, index, bytes, durationMs }, 'fetched a snapshot');
  }

  /** Settles once the state that was staged is the table's own, and what it was before is gone. */
  private async untilTaken(group: number, index: number): Promise<void> {
    const untilMs = this.clock.nowMs() + TAKE_OVER_MS;
    for (;;) {
      const table = this.targets.get(group)?.table;
      if (!table || this.stop.signal.aborted)
        throw new Error('the group does not run here any more');
      if (table.state.appliedIndex >= index) return table.removeInactive();
      if (this.clock.nowMs() > untilMs) throw new Error(`not taken over in ${TAKE_OVER_MS} ms`);
      await this.clock.turn();
    }
  }

  /** Writes all chunks; the next one is on its way while one is written. */
  private async fill(
    stage: TableStage,
    group: number,
    from: number,
  ): Promise<{ metadata: SnapshotMetadata; bytes: number }> {
    const session = this.clock.randomBytes(8);
    const ask = (chunk: number) => this.chunk(from, { group: BigInt(group), session, chunk });
    let bytes = 0;
    for (let number = 0, next = ask(0); ; number++) {
      const chunk = await next;
      if (!chunk.metadata) throw new Error('a chunk does not say what it is a part of');
      if (!chunk.last) {
        next = ask(number + 1);
        // Whoever awaits it hears of a failure; one that comes before that is no crash.
        next.catch(() => undefined);
      }
      bytes += chunk.data.length;
      if (!this.targets.get(group)) throw new Error('the group does not run here any more');
      stage.write(chunk.data);
      if (chunk.last) return { metadata: fromWire(chunk.metadata), bytes };
      await this.clock.turn();
    }
  }

  /** One chunk, asked for again while the connection is broken and the session may still be there. */
  private async chunk(
    from: number,
    request: { group: bigint; session: Buffer; chunk: number },
  ): Promise<peerV1.SnapshotChunk> {
    const untilMs = this.clock.nowMs() + CHUNK_RETRY_MS;
    const bytes = peerV1.SnapshotRequest.encode({
      ...request,
      chunk: BigInt(request.chunk),
    }).finish();
    for (;;) {
      const { signal } = this.stop;
      signal.throwIfAborted();
      try {
        const options = { deadlineMs: CHUNK_TIMEOUT_MS, signal };
        return peerV1.SnapshotChunk.decode(
          await this.peers.call(from, READ_SNAPSHOT, bytes, options),
        );
      } catch (error) {
        if (isFinal(error) || this.clock.nowMs() > untilMs) throw error;
        await this.clock.sleep(RETRY_PAUSE_MS, signal);
      }
    }
  }
}

function isFinal(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false;
  return error.code === status.FAILED_PRECONDITION || error.code === status.NOT_FOUND;
}
