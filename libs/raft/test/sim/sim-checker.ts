/**
 * What must hold for a group at all times, checked while a simulation runs.
 *
 * - Election safety: a term has one leader at most.
 * - State machine safety: no two replicas apply different entries at one index. The state is a
 *   chain of digests, so equal states mean equal histories.
 * - Durability: what any replica applied is in the final state of all.
 * - Linearizable reads: a confirmed read sees all that was applied anywhere before it began.
 */
import type { Entry, LogIndex, NodeId, Term } from '../../src/core/index.js';

/** Digest of the empty state. */
export const EMPTY_STATE = 0x811c9dc5;

/** Digest of the state after one more entry (FNV-1a over term, type and data). */
export function nextState(state: number, entry: Entry): number {
  let digest = state;
  const mix = (byte: number) => {
    digest = Math.imul(digest ^ byte, 0x01000193) >>> 0;
  };
  for (let shift = 0; shift < 32; shift += 8) mix((entry.term >>> shift) & 0xff);
  mix(entry.type);
  for (const byte of entry.data) mix(byte);
  return digest;
}

export class SimChecker {
  private readonly leaders = new Map<Term, NodeId>();
  private readonly states = new Map<LogIndex, number>();
  /** Highest index that any replica has applied. */
  appliedMax: LogIndex = 0;

  constructor(private readonly seed: number) {}

  private fail(text: string): never {
    throw new Error(`seed ${this.seed}: ${text}`);
  }

  get electedTerms(): number {
    return this.leaders.size;
  }

  leads(id: NodeId, term: Term): void {
    const known = this.leaders.get(term) ?? id;
    if (known !== id) this.fail(`${known} and ${id} both lead term ${term}`);
    this.leaders.set(term, id);
  }

  applied(id: NodeId, index: LogIndex, state: number): void {
    const known = this.states.get(index) ?? state;
    if (known !== state) this.fail(`${id} applied something else at index ${index}`);
    this.states.set(index, state);
    this.appliedMax = Math.max(this.appliedMax, index);
  }

  readConfirmed(id: NodeId, index: LogIndex, appliedBefore: LogIndex): void {
    if (index < appliedBefore) {
      this.fail(`${id} confirmed a read at ${index}, but ${appliedBefore} was applied before it`);
    }
  }

  atRest(id: NodeId, index: LogIndex, state: number): void {
    if (index < this.appliedMax) this.fail(`${id} ends at ${index}, before ${this.appliedMax}`);
    this.applied(id, index, state);
  }
}
