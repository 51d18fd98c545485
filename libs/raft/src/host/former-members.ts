/**
 * Who left a group while this replica led it, in the term it leads now.
 *
 * A replica that leaves forgets its log, and may be asked back. What it said before it left may still
 * be on its way then: an old "I have everything up to 59" would count for the new, empty replica, and
 * entries would be committed that are on too few disks. Messages of an earlier term are never heeded,
 * so nobody comes back in the term in which they left.
 */
import type { NodeId, Term } from '../core/index.js';

export class FormerMembers {
  private readonly nodes = new Set<NodeId>();
  private term: Term = 0;

  /** The leader of `term` went from one set of members to another. */
  changed(term: Term, before: Iterable<NodeId>, after: ReadonlySet<NodeId>): void {
    this.enter(term);
    for (const node of before) if (!after.has(node)) this.nodes.add(node);
  }

  /** Whether a node may become a member, learners included, in this term. */
  mayReturn(term: Term, node: NodeId): boolean {
    return this.term !== term || !this.nodes.has(node);
  }

  private enter(term: Term): void {
    if (this.term === term) return;
    this.term = term;
    this.nodes.clear();
  }
}
