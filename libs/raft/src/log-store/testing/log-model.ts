/**
 * What the log store must hold, in a few plain arrays: the model of the property tests.
 *
 * In: abstract steps made of small numbers. Out: the same change on the model and in a batch, always
 * one that the interface allows. Comparable with `contentOf` of a real group.
 */
import {
  type ConfState,
  EMPTY_HARD_STATE,
  type Entry,
  EntryType,
  type HardState,
  LOG_START,
  type LogEnd,
} from '../../core/types.js';
import { EMPTY_CONF_STATE } from '../group-state.js';
import type { GroupId, LogBatch } from '../types.js';
import { confState } from './fixtures.js';

export interface ModelStep {
  readonly group: GroupId;
  readonly kind:
    'append' | 'overwrite' | 'hard-state' | 'conf' | 'snapshot' | 'compact' | 'floor' | 'remove';
  readonly size: number;
  readonly place: number;
}

interface ModelGroup {
  hardState: HardState;
  confState: ConfState;
  confIndex: number;
  compactedIndex: number;
  compactedTerm: number;
  floor: LogEnd;
  entries: Entry[];
}

const PAYLOAD_BYTES_MAX = 90;

export class LogModel {
  private groups = new Map<GroupId, ModelGroup>();
  private term = 1;

  clone(): LogModel {
    const copy = new LogModel();
    copy.term = this.term;
    for (const [id, group] of this.groups) {
      copy.groups.set(id, { ...group, entries: [...group.entries] });
    }
    return copy;
  }

  ids(): GroupId[] {
    return [...this.groups.keys()].sort((left, right) => left - right);
  }

  contentOf(id: GroupId): unknown {
    const group = this.groups.get(id) ?? freshGroup();
    return {
      hardState: group.hardState,
      confState: group.confState,
      confIndex: group.confIndex,
      first: group.compactedIndex + 1,
      last: group.compactedIndex + group.entries.length,
      termBefore: group.compactedTerm,
      floor: group.floor,
      entries: group.entries.map(({ index, term, type, data }) => ({
        index,
        term,
        type,
        data: Buffer.from(data).toString('latin1'),
      })),
    };
  }

  apply(step: ModelStep, batch: LogBatch): void {
    const { group: id, size, place } = step;
    const group = this.groups.get(id) ?? freshGroup();
    const last = group.compactedIndex + group.entries.length;
    switch (step.kind) {
      case 'append':
      case 'overwrite': {
        const back = step.kind === 'overwrite' ? place % (group.entries.length + 1) : 0;
        if (back > 0) this.term++;
        const added = this.makeEntries(last + 1 - back, 1 + (size % 5), size * 7 + place);
        group.entries = [...group.entries.slice(0, group.entries.length - back), ...added];
        batch.appendEntries(id, added);
        break;
      }
      case 'hard-state':
        group.hardState = { term: this.term, vote: size, commit: place };
        batch.setHardState(id, group.hardState);
        break;
      case 'conf':
        group.confState = confState(...Array.from({ length: size % 4 }, (_, at) => at + place));
        group.confIndex = place;
        batch.setConfState(id, place, group.confState);
        break;
      case 'snapshot': {
        const metadata = { index: last + place - 3, term: this.term, confState: confState(size) };
        if (metadata.index <= group.compactedIndex) return;
        group.confState = metadata.confState;
        group.confIndex = metadata.index;
        group.compactedIndex = metadata.index;
        group.compactedTerm = metadata.term;
        group.entries = [];
        batch.installSnapshot(id, metadata);
        break;
      }
      case 'compact': {
        const dropped = group.entries.slice(0, place % (group.entries.length + 1));
        const to = dropped.at(-1);
        if (to === undefined) return;
        group.compactedIndex = to.index;
        group.compactedTerm = to.term;
        group.entries = group.entries.slice(dropped.length);
        batch.compact(id, to.index);
        break;
      }
      case 'floor':
        group.floor = { index: 1 + place, term: size };
        batch.setVoteFloor(id, group.floor);
        break;
      case 'remove':
        this.groups.delete(id);
        batch.removeGroup(id);
        return;
    }
    this.groups.set(id, group);
  }

  private makeEntries(from: number, count: number, fill: number): Entry[] {
    return Array.from({ length: count }, (_, at) => ({
      index: from + at,
      term: this.term,
      type: at % 3 === 2 ? EntryType.ConfChangeV2 : EntryType.Normal,
      data: new Uint8Array((fill + at * 31) % PAYLOAD_BYTES_MAX).fill(fill + at + from),
    }));
  }
}

function freshGroup(): ModelGroup {
  return {
    hardState: EMPTY_HARD_STATE,
    confState: EMPTY_CONF_STATE,
    confIndex: 0,
    compactedIndex: 0,
    compactedTerm: 0,
    floor: LOG_START,
    entries: [],
  };
}
