/** The named bounds of a host and their defaults. Times in ticks are multiples of the tick. */
export interface HostOptions {
  /** Identity of this node in every group. */
  readonly nodeId: number;
  /** Ticks without a word from the leader until an election. */
  readonly electionTicks: number;
  /** Ticks between two heartbeats of a leader. */
  readonly heartbeatTicks: number;
  /** Bytes of entries in one message to a peer. */
  readonly messageBytesMax: number;
  /** Messages to one peer that may be unanswered. */
  readonly inflightMessagesMax: number;
  /** Bytes of entries that are applied as one step; more wait for the next. */
  readonly applyBytesMax: number;
  /** How long one turn may apply entries before it lets the loop breathe. */
  readonly applyBudgetMs: number;
  /** Bytes of a leader's entries that may wait for a majority; also the largest proposal. */
  readonly uncommittedBytesMax: number;
  /** Proposals of one group that may wait. */
  readonly proposalsMax: number;
  /** Linearizable reads of one group that may wait. */
  readonly readsMax: number;
  /** Ticks until a read round without an answer is asked again. */
  readonly readRetryTicks: number;
  /** Ticks without work after which a leader whose followers have everything stops its clock. */
  readonly hibernateTicks: number;
  /** Ticks without progress after which a snapshot that was announced counts as failed. */
  readonly snapshotIdleTicks: number;
  /** Callers of one group that may wait for a leader or an applied index. */
  readonly waitersMax: number;
}

export const DEFAULT_HOST_OPTIONS: Omit<HostOptions, 'nodeId'> = {
  electionTicks: 20,
  heartbeatTicks: 1,
  messageBytesMax: 1024 * 1024,
  inflightMessagesMax: 256,
  applyBytesMax: 1024 * 1024,
  applyBudgetMs: 8,
  uncommittedBytesMax: 6 * 1024 * 1024,
  proposalsMax: 65_536,
  readsMax: 65_536,
  readRetryTicks: 10,
  hibernateTicks: 60,
  snapshotIdleTicks: 80,
  waitersMax: 65_536,
};
