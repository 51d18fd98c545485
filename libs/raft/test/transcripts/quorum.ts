/**
 * Replays the quorum transcripts: `committed` and `vote` over one or two majorities.
 *
 * Besides the printed answer each case is checked against what must hold for all of them; what does
 * not hold is printed too, so that the transcript no longer matches.
 */
import {
  describeJointCommit,
  jointCommittedIndex,
  jointIds,
  jointVoteResult,
  type JointConfig,
} from '../../src/core/quorum/joint.js';
import {
  committedIndex,
  describeCommit,
  sortedIds,
  voteResult,
  type MajorityConfig,
  type VoteResult,
} from '../../src/core/quorum/majority.js';
import type { LogIndex, NodeId } from '../../src/core/types.js';
import type { Directive, DirectiveHandler } from './datadriven.js';

/** What the checks compare with each other; another one is given only to see that they bite. */
export interface QuorumFunctions {
  readonly committedIndex: typeof committedIndex;
  readonly jointCommittedIndex: typeof jointCommittedIndex;
  readonly voteResult: typeof voteResult;
  readonly jointVoteResult: typeof jointVoteResult;
}

/** `values` has 0 where nothing is known; for a vote 1 is no and 2 is yes. */
interface Case {
  readonly incoming: MajorityConfig;
  readonly outgoing: MajorityConfig;
  /** The second majority was named, even if it is empty. */
  readonly isJoint: boolean;
  readonly values: readonly number[];
}

type Acks = ReadonlyMap<NodeId, LogIndex>;

const NOBODY: MajorityConfig = new Set();
const ARGUMENTS = ['cfg', 'cfgj', 'idx', 'votes'];
const VOTES: ReadonlyMap<string, number> = new Map([
  ['_', 0],
  ['n', 1],
  ['y', 2],
]);
const RESULTS: Readonly<Record<VoteResult, string>> = {
  won: 'VoteWon',
  lost: 'VoteLost',
  pending: 'VotePending',
};

export function newQuorumHandler(overrides: Partial<QuorumFunctions> = {}): DirectiveHandler {
  const quorum = {
    committedIndex,
    jointCommittedIndex,
    voteResult,
    jointVoteResult,
    ...overrides,
  };
  return (directive) => {
    if (directive.cmd !== 'committed' && directive.cmd !== 'vote') return 'unknown command';
    const input = parseCase(directive);
    const known = assign(input);
    if (typeof known === 'string') return known;
    return directive.cmd === 'vote' ? vote(quorum, input, known) : committed(quorum, input, known);
  };
}

function parseCase({ cmd, args }: Directive): Case {
  const unknown = args.find(({ key }) => !ARGUMENTS.includes(key));
  if (unknown !== undefined) throw new Error(`unknown argument ${unknown.key}`);
  const valuesOf = (key: string) => args.find((arg) => arg.key === key)?.vals ?? [];
  const joint = valuesOf('cfgj');
  const isZero = joint.length === 1 && joint[0] === 'zero';
  return {
    incoming: new Set(valuesOf('cfg').map(toNumber)),
    outgoing: new Set(isZero ? [] : joint.map(toNumber)),
    isJoint: joint.length > 0,
    values: cmd === 'vote' ? valuesOf('votes').map(toVote) : valuesOf('idx').map(toIndex),
  };
}

function toNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`not a number: ${text}`);
  return Number(text);
}

function toIndex(text: string): LogIndex {
  if (text === '_') return 0;
  const index = toNumber(text);
  if (index === 0) throw new Error('an index of 0 is written as _');
  return index;
}

function toVote(text: string): number {
  const value = VOTES.get(text);
  if (value === undefined) throw new Error(`not a vote: ${text}`);
  return value;
}

/** Gives the values to the voters, in the order in which the configurations name them first. */
function assign({ incoming, outgoing, values }: Case): Map<NodeId, number> | string {
  const ids = [...jointIds([incoming, outgoing])];
  if (values.length !== ids.length) {
    const voters = sortedIds(ids).map((id) => `${id}:{}`);
    return (
      `error: mismatched input (explicit or _) for voters map[${voters.join(' ')}]: ` +
      `[${values.join(' ')}]`
    );
  }
  const known = new Map<NodeId, number>();
  ids.forEach((id, at) => {
    const value = values[at] ?? 0;
    if (value !== 0) known.set(id, value);
  });
  return known;
}

function committed(quorum: QuorumFunctions, input: Case, acks: Acks): string {
  const { incoming, outgoing, isJoint } = input;
  const acked = (id: NodeId) => acks.get(id);
  if (isJoint) {
    const config: JointConfig = [incoming, outgoing];
    const index = quorum.jointCommittedIndex(config, acked);
    const mirrored = quorum.jointCommittedIndex([outgoing, incoming], acked);
    const notes = note(index, mirrored, 'via symmetry');
    return `${describeJointCommit(config, acked)}${notes}${indexText(index)}`;
  }
  const index = quorum.committedIndex(incoming, acked);
  const viaZero = quorum.jointCommittedIndex([incoming, NOBODY], acked);
  const viaSelf = quorum.jointCommittedIndex([incoming, incoming], acked);
  const notes =
    note(index, alternative(incoming, acks), 'via alternative computation') +
    note(index, viaZero, 'via zero-joint quorum') +
    note(index, viaSelf, 'via self-joint quorum') +
    checkOverlay(quorum, incoming, acks, index);
  return `${describeCommit(incoming, acked)}${notes}${indexText(index)}`;
}

/** How little a voter below the committed index has acknowledged must make no difference. */
function checkOverlay(
  quorum: QuorumFunctions,
  config: MajorityConfig,
  acks: Acks,
  index: LogIndex,
): string {
  let notes = '';
  for (const [id, value] of acks) {
    if (value >= index) continue;
    for (const lower of [value - 1, 0]) {
      const overlay = (other: NodeId) => (other === id ? lower : acks.get(other));
      const other = quorum.committedIndex(config, overlay);
      notes += note(index, other, `overlaying ${id}->${lower}`);
    }
  }
  return notes;
}

/** The highest acknowledged index that more than half have reached, by trying each. */
function alternative(config: MajorityConfig, acks: Acks): LogIndex {
  if (config.size === 0) return Infinity;
  const known = [...config].map((id) => acks.get(id) ?? 0);
  const agreed = known.filter(
    (index) => known.filter((other) => other >= index).length * 2 > config.size,
  );
  return Math.max(0, ...agreed);
}

function note(index: LogIndex, other: LogIndex, how: string): string {
  return index === other ? '' : `${indexText(other)} <-- ${how}\n`;
}

function indexText(index: LogIndex): string {
  return index === Infinity ? '∞' : String(index);
}

function vote(quorum: QuorumFunctions, input: Case, known: ReadonlyMap<NodeId, number>): string {
  const { incoming, outgoing, isJoint } = input;
  const votes = new Map([...known].map(([id, value]) => [id, value === 2]));
  if (!isJoint) return RESULTS[quorum.voteResult(incoming, votes)];
  const result = quorum.jointVoteResult([incoming, outgoing], votes);
  const mirrored = quorum.jointVoteResult([outgoing, incoming], votes);
  const objection = mirrored === result ? '' : `${RESULTS[mirrored]} <-- via symmetry\n`;
  return `${objection}${RESULTS[result]}`;
}
