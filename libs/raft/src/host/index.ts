/** Many Raft groups on one loop. */
export { Group } from './group.js';
export type { GroupStatus, MemberProgress } from './group-status.js';
export { HostError, HostErrorCode } from './host-error.js';
export { Host, type HostPorts, type HostStats } from './host.js';
export type { ProposalWaiter } from './proposals.js';
export { DEFAULT_HOST_OPTIONS, type HostOptions } from './options.js';
export type {
  CommittedEntry,
  HostObserver,
  PeerSender,
  ProposalOutcome,
  Scheduler,
  SnapshotFetcher,
  SnapshotSlots,
  StateMachine,
  ToldEntry,
} from './ports.js';
