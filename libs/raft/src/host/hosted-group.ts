/**
 * What a group and its host ask of each other; neither knows here what the results of a group are.
 *
 *   host --ticks, messages, turns--> HostedGroup --work for the log, messages--> GroupSink
 *                                         \------ wake me, my clock may stop --> GroupSignals
 */
import type {
  ConfState,
  LogIndex,
  Message,
  NodeId,
  SnapshotMetadata,
  Term,
} from '../core/index.js';
import type { GroupLog } from '../log-store/index.js';
import type { HostErrorCode } from './host-error.js';
import type { GroupId, HostObserver } from './ports.js';

/** Where a group's output goes during one turn. */
export interface GroupSink {
  /** Work for the log; its responses come back through `deliver` once it is durable. */
  append(group: HostedGroup, message: Message): void;
  send(group: GroupId, message: Message): void;
  /** A membership change was applied: the configuration belongs into the log. */
  confChanged(group: GroupId, index: LogIndex, confState: ConfState): void;
}

/** What a group asks of its host between turns. */
export interface GroupSignals {
  /** There is something to collect. */
  wake(group: HostedGroup): void;
  /** The group wants ticks, or does without them. */
  clock(group: HostedGroup, runs: boolean): void;
  quiesce(to: NodeId, group: GroupId, term: Term, index: LogIndex): void;
  isAlive(node: NodeId): boolean;
  observer(): HostObserver | undefined;
}

/** What the host knows of a group without knowing what its results are. */
export interface HostedGroup {
  readonly id: GroupId;
  readonly log: GroupLog;
  readonly appliedIndex: LogIndex;
  readonly hasApplyWork: boolean;
  confState(): ConfState;
  tick(nowMs: number): void;
  collect(sink: GroupSink): void;
  applyNext(sink: GroupSink): number;
  deliver(message: Message): void;
  lacks(metadata: SnapshotMetadata): boolean;
  installSnapshot(metadata: SnapshotMetadata): boolean;
  takeOver(metadata: SnapshotMetadata): void;
  quiesce(from: NodeId, term: Term, index: LogIndex): void;
  nodeLost(node: NodeId): void;
  nodeFound(node: NodeId): void;
  unreachable(node: NodeId): void;
  snapshotProgressed(to: NodeId): void;
  snapshotEnded(to: NodeId, outcome: 'finish' | 'failure'): void;
  close(code: HostErrorCode, message: string): void;
}
