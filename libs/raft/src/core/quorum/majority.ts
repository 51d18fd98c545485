/**
 * One majority: what a set of voters has agreed on.
 *
 * In: a set of ids and what each acknowledged or voted. Out: the highest index that more than half
 * acknowledged, or how a vote stands. An empty set agrees with everything, so that a joint
 * configuration with an empty half behaves like the other half alone.
 */
import type { LogIndex, NodeId } from '../types.js';

export type MajorityConfig = ReadonlySet<NodeId>;

export type VoteResult = 'pending' | 'lost' | 'won';

/** The index a voter acknowledged; undefined if nothing is known of it. Computes nothing else. */
export type AckedIndex = (id: NodeId) => LogIndex | undefined;

/**
 * The indexes of one call in ascending order, reused by the next: this runs for every answer of a
 * follower and must not allocate. It grows to the largest configuration and is never shortened.
 */
const scratch: LogIndex[] = [0, 0, 0, 0, 0, 0, 0];

/** The highest index that a majority acknowledged; Infinity for an empty set. */
export function committedIndex(config: MajorityConfig, acked: AckedIndex): LogIndex {
  if (config.size === 0) return Infinity;
  let used = 0;
  for (const id of config) {
    insertSorted(acked(id) ?? 0, used);
    used++;
  }
  // Ascending order: this position and all above it are a majority.
  return scratch[used - (Math.floor(used / 2) + 1)] ?? 0;
}

/** Puts `index` into its place among the first `used` ones. */
function insertSorted(index: LogIndex, used: number): void {
  let at = used;
  for (; at > 0; at--) {
    const below = scratch[at - 1] ?? 0;
    if (below <= index) break;
    scratch[at] = below;
  }
  scratch[at] = index;
}

/** Won with a majority of yes, lost once that cannot be reached any more. */
export function voteResult(
  config: MajorityConfig,
  votes: ReadonlyMap<NodeId, boolean>,
): VoteResult {
  if (config.size === 0) return 'won';
  let granted = 0;
  let missing = 0;
  for (const id of config) {
    const vote = votes.get(id);
    if (vote === undefined) missing++;
    else if (vote) granted++;
  }
  const majority = Math.floor(config.size / 2) + 1;
  if (granted >= majority) return 'won';
  return granted + missing >= majority ? 'pending' : 'lost';
}

/** Ids in ascending order. */
export function sortedIds(ids: Iterable<NodeId>): NodeId[] {
  return [...ids].sort((a, b) => a - b);
}

/** `(1 2 3)`. */
export function majorityToString(config: MajorityConfig): string {
  return `(${sortedIds(config).join(' ')})`;
}

/** A chart of who is how far; bars are longer for voters that are ahead of more others. */
export function describeCommit(config: MajorityConfig, acked: AckedIndex): string {
  if (config.size === 0) return '<empty majority quorum>';
  const size = config.size;
  const rows = sortedIds(config).map((id) => ({ id, index: acked(id) }));
  const ranked = [...rows].sort((a, b) => (a.index ?? 0) - (b.index ?? 0) || a.id - b.id);
  const lines = rows.map(({ id, index }) => {
    // Ties share the bar of the first among them.
    const bar = ranked.findIndex((other) => (other.index ?? 0) >= (index ?? 0));
    const drawn = index === undefined ? '?' + ' '.repeat(size) : drawBar(bar, size);
    return `${drawn} ${String(index ?? 0).padStart(5)}    (id=${id})`;
  });
  return `${' '.repeat(size)}    idx\n${lines.join('\n')}\n`;
}

function drawBar(length: number, size: number): string {
  return 'x'.repeat(length) + '>' + ' '.repeat(size - length);
}
