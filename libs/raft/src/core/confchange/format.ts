/**
 * Membership changes as text: the short form `v1 l2 r3 u4`, and the form of the log lines.
 */
import {
  ConfChangeTransition,
  ConfChangeType,
  type ConfChange,
  type ConfChangeSingle,
  type ConfChangeV2,
} from './types.js';

const LETTERS: Readonly<Record<ConfChangeType, string>> = {
  [ConfChangeType.AddNode]: 'v',
  [ConfChangeType.RemoveNode]: 'r',
  [ConfChangeType.UpdateNode]: 'u',
  [ConfChangeType.AddLearnerNode]: 'l',
};

/** `v1 l2`: voter, learner, removed, updated. */
export function formatConfChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, nodeId }) => `${LETTERS[type]}${nodeId}`).join(' ');
}

/** The reverse of `formatConfChanges`; throws a SyntaxError that names the bad word. */
export function parseConfChanges(text: string): ConfChangeSingle[] {
  return text
    .split(/\s+/)
    .filter((word) => word !== '')
    .map((word) => {
      if (word.length < 2) throw new SyntaxError(`unknown token ${word}`);
      const type = Object.values(ConfChangeType).find((each) => LETTERS[each] === word[0]);
      if (type === undefined) throw new SyntaxError(`unknown input: ${word}`);
      const nodeId = Number(word.slice(1));
      if (!/^.\d+$/.test(word) || !Number.isSafeInteger(nodeId)) {
        throw new SyntaxError(`not a node id: ${word}`);
      }
      return { type, nodeId };
    });
}

const TYPE_NAMES = new Map<number, string>(
  Object.entries(ConfChangeType).map(([name, type]) => [type, `ConfChange${name}`]),
);
const TRANSITION_NAMES = new Map<number, string>(
  Object.entries(ConfChangeTransition).map(([name, each]) => [each, `ConfChangeTransition${name}`]),
);

/** The text of a change in the line that says it was ignored. */
export function formatConfChange(change: ConfChange | ConfChangeV2): string {
  if (!('changes' in change)) {
    return `type:${TYPE_NAMES.get(change.type) ?? change.type} node_id:${change.nodeId}`;
  }
  const { transition, changes } = change;
  const words = [`transition:${TRANSITION_NAMES.get(transition) ?? transition}`];
  for (const { type, nodeId } of changes) {
    words.push(`changes:{type:${TYPE_NAMES.get(type) ?? type} node_id:${nodeId}}`);
  }
  return words.join(' ');
}
