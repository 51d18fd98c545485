/**
 * Replays the quorum transcripts: `committed` and `vote` over one or two majorities.
 *
 * Besides the printed answer each case is checked against what must hold for all of them; what does
 * not hold is printed too, so that the transcript no longer matches.
 */
import {
  describeJointCommit,
  jointCommittedIndex,
  jointVoteResult,
  type JointConfig,
} from '../../src/core/quorum/joint.js';
import {
  committedIndex,
  describeCommit,
  voteResult,
  type VoteResult,
} from '../../src/core/quorum/majority.js';
import type { LogIndex, NodeId } from '../../src/core/types.js';
import type { Directive, DirectiveHandler } from './datadriven.js';

interface Case {
  readonly incoming: ReadonlySet<NodeId>;
  readonly outgoing: ReadonlySet<NodeId>;
  readonly isJoint: boolean;
  readonly indexes: readonly string[];
  readonly votes: readonly string[];
}

const NONE = new Set<NodeId>();
const RESULTS: Readonly<Record<VoteResult, string>> = {
  won: 'VoteWon',
  lost: 'VoteLost',
  pending: 'VotePending',
};

export function newQuorumHandler(): DirectiveHandler {
  return (directive) => {
    const input = parseCase(directive);
    switch (directive.cmd) {
      case 'committed':
        return committed(input);
      case 'vote':
        return vote(input);
      default:
        return `unknown command: ${directive.cmd}`;
    }
  };
}

function parseCase({ args }: Directive): Case {
  const valuesOf = (key: string) => args.find((arg) => arg.key === key)?.vals ?? [];
  const joint = args.find((arg) => arg.key === 'cfgj');
  const outgoing = joint?.vals[0] === 'zero' ? [] : (joint?.vals ?? []);
  return {
    incoming: new Set(valuesOf('cfg').map(Number)),
    outgoing: new Set(outgoing.map(Number)),
    isJoint: joint !== undefined,
    indexes: valuesOf('idx'),
    votes: valuesOf('votes'),
  };
}

/** Values are given to the voters in the order in which the configurations name them first. */
function assign<T>(
  { incoming, outgoing }: Case,
  values: readonly string[],
  parse: (text: string) => T | undefined,
): Map<NodeId, T> | string {
  const ids = [...new Set([...incoming, ...outgoing])];
  if (values.length !== ids.length) {
    return (
      `error: mismatched input (explicit or _) for voters [${ids.join(' ')}]: ` +
      `[${values.join(' ')}]\n`
    );
  }
  const assigned = new Map<NodeId, T>();
  ids.forEach((id, at) => {
    const value = parse(values[at] ?? '_');
    if (value !== undefined) assigned.set(id, value);
  });
  return assigned;
}

function committed(input: Case): string {
  const acks = assign(input, input.indexes, (text) => (text === '_' ? undefined : Number(text)));
  if (typeof acks === 'string') return acks;
  const acked = (id: NodeId) => acks.get(id);
  const config: JointConfig = [input.incoming, input.outgoing];
  const chart = input.isJoint
    ? describeJointCommit(config, acked)
    : describeCommit(input.incoming, acked);
  const index = input.isJoint
    ? jointCommittedIndex(config, acked)
    : committedIndex(input.incoming, acked);
  return chart + checkCommitted(input, acks, index) + `${indexText(index)}\n`;
}

function checkCommitted(input: Case, acks: ReadonlyMap<NodeId, LogIndex>, index: LogIndex): string {
  const { incoming, outgoing } = input;
  const acked = (id: NodeId) => acks.get(id);
  const alternative = Math.min(naive(incoming, acks), naive(outgoing, acks));
  let text = note(index, alternative, '<-- via alternative computation');
  if (input.isJoint) {
    text += note(index, jointCommittedIndex([outgoing, incoming], acked), '<-- via symmetry');
    return text;
  }
  text += note(index, jointCommittedIndex([incoming, NONE], acked), '<-- via zero-joint quorum');
  text += note(
    index,
    jointCommittedIndex([incoming, incoming], acked),
    '<-- via self-joint quorum',
  );
  return text + checkOverlay(incoming, acks, index);
}

/** Whether a voter has acknowledged nothing or too little to matter makes no difference. */
function checkOverlay(
  config: ReadonlySet<NodeId>,
  acks: ReadonlyMap<NodeId, LogIndex>,
  index: LogIndex,
): string {
  let text = '';
  for (const [id, value] of acks) {
    if (value >= index || value <= 0) continue;
    for (const lower of [value - 1, 0]) {
      const overlay = (other: NodeId) => (other === id ? lower : acks.get(other));
      text += note(index, committedIndex(config, overlay), `<-- overlaying ${id}->${lower}`);
    }
  }
  return text;
}

/** By trying every acknowledged index. */
function naive(config: ReadonlySet<NodeId>, acks: ReadonlyMap<NodeId, LogIndex>): LogIndex {
  if (config.size === 0) return Infinity;
  const candidates = [...config].map((id) => acks.get(id) ?? 0);
  const agreed = candidates.filter(
    (candidate) => candidates.filter((other) => other >= candidate).length * 2 > config.size,
  );
  return Math.max(0, ...agreed);
}

function note(index: LogIndex, other: LogIndex, how: string): string {
  return index === other ? '' : `${indexText(other)} ${how}\n`;
}

function indexText(index: LogIndex): string {
  return index === Infinity ? '∞' : String(index);
}

function vote(input: Case): string {
  const votes = assign(input, input.votes, (text) => (text === '_' ? undefined : text === 'y'));
  if (typeof votes === 'string') return votes;
  if (!input.isJoint) return `${RESULTS[voteResult(input.incoming, votes)]}\n`;
  const result = jointVoteResult([input.incoming, input.outgoing], votes);
  const mirrored = jointVoteResult([input.outgoing, input.incoming], votes);
  const objection = mirrored === result ? '' : `${RESULTS[mirrored]} <-- via symmetry\n`;
  return `${objection}${RESULTS[result]}\n`;
}
