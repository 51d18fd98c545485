/**
 * The groups of a store by their ids. In: ids. Out: the one handle there is per group.
 *
 * A handle without stored state costs a few hundred bytes and no file access; ten thousand idle
 * groups must stay cheap. A removed group's handle leaves the directory and stays empty.
 */
import type { SegmentUse } from './entry-table.js';
import { LogStoreError } from './errors.js';
import { type EntryReader, GroupState } from './group-state.js';
import type { GroupId } from './types.js';

export class GroupDirectory {
  private readonly states = new Map<GroupId, GroupState>();
  private storedCount = 0;

  constructor(
    private readonly use: SegmentUse,
    private readonly reader: EntryReader,
  ) {}

  /** Groups with stored state. */
  get count(): number {
    return this.storedCount;
  }

  handle(id: GroupId): GroupState {
    const known = this.states.get(id);
    if (known !== undefined) return known;
    if (!Number.isSafeInteger(id) || id < 0) {
      throw new LogStoreError('invalid', `${id} is no group id: it must be a safe integer from 0`);
    }
    const fresh = new GroupState(id, this.use, this.reader);
    this.states.set(id, fresh);
    return fresh;
  }

  /** The group's state, which from now on counts as stored. */
  stored(id: GroupId): GroupState {
    const state = this.handle(id);
    if (!state.isStored) {
      state.isStored = true;
      this.storedCount++;
    }
    return state;
  }

  /** Returns whether there was anything to remove. */
  remove(id: GroupId): boolean {
    const state = this.states.get(id);
    if (state === undefined || !state.isStored) return false;
    state.clear();
    this.states.delete(id);
    this.storedCount--;
    return true;
  }

  *allStored(): IterableIterator<GroupState> {
    for (const state of this.states.values()) if (state.isStored) yield state;
  }
}
