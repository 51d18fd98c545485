/**
 * The four safety properties of Raft (Ongaro and Ousterhout 2014, figure 3), held against everything
 * that the replicas of a simulation do.
 *
 *   election safety        a term has one leader at most
 *   log matching           entries of one index and term are the same, and so are all before them
 *   leader completeness    who leads a term holds everything that was committed in earlier ones
 *   state machine safety   no two replicas apply different entries at one index
 *
 * And the rule that the third rests on (section 5.4.2): a leader commits entries of its own term by
 * counting replicas, and older ones only with them.
 *
 * In: appends, applied entries, leaders as they are seen. Out: an InvariantError for the first
 * contradiction. It knows more than any replica does and tells them nothing.
 */
import type { Raft } from '../core/raft.js';
import type { Entry, LogIndex, NodeId, Term } from '../core/index.js';
import type { GroupId } from '../log-store/index.js';

export class InvariantError extends Error {
  override readonly name = 'InvariantError';

  constructor(
    readonly invariant: string,
    detail: string,
  ) {
    super(`${invariant}: ${detail}`);
  }
}

interface Appended {
  /** Undefined where the entry before was compacted already when this one was seen. */
  previousTerm: Term | undefined;
  readonly type: number;
  readonly data: Uint8Array;
}

interface Committed {
  /** The term of the first replica that applied it: it was committed in that one or before. */
  readonly by: Term;
  readonly term: Term;
  readonly type: number;
  readonly data: Uint8Array;
}

class GroupHistory {
  readonly leaders = new Map<Term, NodeId>();
  /** How far the log was committed as a leader of a term was first seen, or since it was looked at. */
  readonly committedBy = new Map<Term, LogIndex>();
  /** By index, then term. */
  readonly appended = new Map<LogIndex, Map<Term, Appended>>();
  readonly committed = new Map<LogIndex, Committed>();
  committedMax: LogIndex = 0;
}

export class RaftInvariants {
  private readonly groups = new Map<GroupId, GroupHistory>();

  /** Leaders seen so far, over all groups. */
  get elections(): number {
    let count = 0;
    for (const { leaders } of this.groups.values()) count += leaders.size;
    return count;
  }

  /** Entries committed so far, over all groups. */
  get commits(): number {
    let count = 0;
    for (const { committed } of this.groups.values()) count += committed.size;
    return count;
  }

  committedMax(group: GroupId): LogIndex {
    return this.groups.get(group)?.committedMax ?? 0;
  }

  /** Entries enter the log of a replica; `previousTerm` is that of the entry before the first. */
  appends(
    group: GroupId,
    node: NodeId,
    previousTerm: Term | undefined,
    entries: readonly Entry[],
  ): void {
    const history = this.history(group);
    let before = previousTerm;
    for (const entry of entries) {
      this.matches(history, group, node, before, entry);
      before = entry.term;
    }
  }

  /** Entries became part of the state of a replica whose term is `by`. */
  applies(group: GroupId, node: NodeId, by: Term, entries: readonly Entry[]): void {
    const { committed } = this.history(group);
    for (const { index, term, type, data } of entries) {
      const known = committed.get(index);
      if (!known) {
        committed.set(index, { by, term, type, data });
        continue;
      }
      if (known.term !== term || known.type !== type || !isSame(known.data, data)) {
        const detail = `${place(group, node, index)} applied an entry of term ${term}`;
        throw new InvariantError(
          'state machine safety',
          `${detail} where one of term ${known.term} was applied before`,
        );
      }
    }
    const history = this.history(group);
    history.committedMax = Math.max(history.committedMax, entries.at(-1)?.index ?? 0);
  }

  /** Looks at a replica that may lead. */
  looks(group: GroupId, node: NodeId, raft: Raft): void {
    if (raft.state !== 'StateLeader') return;
    const { leaders, committed, committedMax } = this.history(group);
    const known = leaders.get(raft.term);
    if (known === node) return this.looksAtCommit(group, node, raft);
    if (known !== undefined) {
      const detail = `group ${group}: nodes ${known} and ${node} both lead term ${raft.term}`;
      throw new InvariantError('election safety', detail);
    }
    leaders.set(raft.term, node);
    this.history(group).committedBy.set(raft.term, raft.log.committed);
    const { log } = raft;
    for (let index = log.firstIndex(); index <= committedMax; index++) {
      const entry = committed.get(index);
      // What was committed in a later term need not be known to who leads an earlier one.
      if (!entry || entry.by >= raft.term) continue;
      if (index > log.lastIndex() || log.termOrZero(index) !== entry.term) {
        const detail = `${place(group, node, index)} leads term ${raft.term} without an entry`;
        throw new InvariantError('leader completeness', `${detail} committed by term ${entry.by}`);
      }
    }
  }

  private looksAtCommit(group: GroupId, node: NodeId, { term, log }: Raft): void {
    const { committedBy } = this.history(group);
    const before = committedBy.get(term) ?? 0;
    if (log.committed === before) return;
    committedBy.set(term, log.committed);
    if (log.termOrZero(log.committed) === term) return;
    const detail = `${place(group, node, log.committed)} committed by counting in term ${term}`;
    throw new InvariantError('commit rule', `${detail}, but is of an earlier one`);
  }

  private matches(
    { appended }: GroupHistory,
    group: GroupId,
    node: NodeId,
    previousTerm: Term | undefined,
    { index, term, type, data }: Entry,
  ): void {
    const terms = appended.get(index) ?? new Map<Term, Appended>();
    appended.set(index, terms);
    const known = terms.get(term);
    if (!known) {
      terms.set(term, { previousTerm, type, data });
      return;
    }
    known.previousTerm ??= previousTerm;
    const isSamePast = previousTerm === undefined || known.previousTerm === previousTerm;
    if (!isSamePast || known.type !== type || !isSame(known.data, data)) {
      const detail = `${place(group, node, index)} holds another entry of term ${term}`;
      throw new InvariantError('log matching', `${detail} than a replica before`);
    }
  }

  private history(group: GroupId): GroupHistory {
    const known = this.groups.get(group);
    if (known) return known;
    const history = new GroupHistory();
    this.groups.set(group, history);
    return history;
  }
}

function place(group: GroupId, node: NodeId, index: LogIndex): string {
  return `group ${group}, node ${node}, index ${index}:`;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}
