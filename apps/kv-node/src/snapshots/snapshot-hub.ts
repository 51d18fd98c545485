/**
 * Which groups run here and can give or take a snapshot; joins both directions to the host.
 */
import { type Engine, type TableStateMachine } from '@flotilla/mvcc';
import { type Logger } from '@flotilla/platform';
import { type Group, type Host } from '@flotilla/raft';
import { type NodeClock } from '../node/node-clock.js';
import { type PeerCalls } from '../node/peer-calls.js';
import { GroupSnapshotFetcher } from './snapshot-fetcher.js';
import { SnapshotSource, type SnapshotOrigin } from './snapshot-source.js';

export class SnapshotHub {
  private readonly origins = new Map<number, SnapshotOrigin>();
  readonly source: SnapshotSource;
  readonly fetcher: GroupSnapshotFetcher;
  private host: Host | undefined;

  constructor(engine: Engine, peers: PeerCalls, logger: Logger, clock: NodeClock) {
    this.source = new SnapshotSource(this.origins, clock, (group, to) =>
      this.host?.snapshotProgressed(group, to),
    );
    this.fetcher = new GroupSnapshotFetcher(engine, this.origins, peers, logger, clock);
  }

  attach(host: Host): void {
    this.host = host;
    this.fetcher.attach(host);
    this.source.start();
  }

  add(group: number, table: TableStateMachine, raft: Group<unknown>): void {
    this.origins.set(group, { table, group: raft });
  }

  /** Before the group's rows go. */
  remove(group: number): void {
    this.origins.delete(group);
    this.source.forget(group);
  }

  async close(): Promise<void> {
    await this.fetcher.close();
    this.source.close();
  }
}
