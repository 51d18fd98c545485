/**
 * Rebuilds the groups from the records of the segments, in the order they were written.
 *
 * In: intact frames, oldest first. Out: the groups as they were when the last frame was written, and
 * the set of segments in use. Segments that held nothing of use may be missing in between, so
 * entries can appear that do not follow the ones before; what is left at the end must be without a
 * gap, otherwise something that was needed is missing, and that is damage.
 */
import { LOG_START, type LogIndex } from '../core/types.js';
import { FRAME_HEADER_BYTES, type FrameHeader } from './format.js';
import type { GroupDirectory } from './group-directory.js';
import type { GroupState } from './group-state.js';
import {
  getConfState,
  getGroupState,
  getNumbers,
  getRecordHeader,
  getVote,
  type RecordHeader,
  RecordKind,
} from './records.js';
import type { GroupId } from './types.js';

export class Replay {
  /** What the log last said about each group's last index, whether or not its entries were seen. */
  private readonly lastIndexes = new Map<GroupId, LogIndex>();
  private segmentsInUse = new Set<number>();
  /** Groups that the store state in progress has listed, and how many it is going to list. */
  private listed = new Set<GroupId>();
  private listedExpected = 0;
  entriesScanned = 0;

  constructor(private readonly groups: GroupDirectory) {}

  /** Sequences of the segments that the log says are needed. */
  get inUse(): ReadonlySet<number> {
    return this.segmentsInUse;
  }

  /** Applies a frame. Returns what is wrong with it, if anything is. */
  applyFrame(view: DataView, frame: FrameHeader): string | undefined {
    let at = frame.offset + FRAME_HEADER_BYTES;
    const end = at + frame.recordBytes;
    while (at < end) {
      const header = getRecordHeader(view, at, end);
      if (header === undefined) return `the record at byte ${at} has no valid length`;
      const problem = this.applyRecord(view, header, frame.segment, at);
      if (problem !== undefined) return `the record at byte ${at} ${problem}`;
      at = header.payloadEnd;
    }
    return undefined;
  }

  /** A segment that exists and has no frame yet. */
  addEmptySegment(segment: number): void {
    this.segmentsInUse.add(segment);
  }

  /** Returns what is missing, if anything is. */
  finish(): string | undefined {
    if (this.listedExpected !== this.listed.size) return 'the list of groups is incomplete';
    for (const group of this.groups.allStored()) {
      const { table } = group;
      const last = this.lastOf(group);
      const end = table.count === 0 ? group.compactedIndex : table.lastIndex;
      if (end !== last || table.firstIndex !== group.compactedIndex + 1) {
        return (
          `group ${group.id} has lost entries: ${group.compactedIndex + 1} to ${last} are ` +
          `needed, ${table.firstIndex} to ${table.lastIndex} are there`
        );
      }
    }
    return undefined;
  }

  private lastOf(group: GroupState): LogIndex {
    return this.lastIndexes.get(group.id) ?? 0;
  }

  private applyRecord(
    view: DataView,
    header: RecordHeader,
    segment: number,
    at: number,
  ): string | undefined {
    const { group: id, index, term } = header;
    switch (header.kind) {
      case RecordKind.Entry:
        this.applyEntry(this.groups.stored(id), header, segment, at);
        return undefined;
      case RecordKind.HardState: {
        const vote = getVote(view, header);
        if (vote === undefined) return 'is no hard state';
        this.groups.stored(id).hardState = { term, vote, commit: index };
        return undefined;
      }
      case RecordKind.ConfState: {
        const confState = getConfState(view, header.payloadStart, header.payloadEnd);
        if (confState === undefined) return 'is no configuration';
        const group = this.groups.stored(id);
        group.confState = confState;
        group.confIndex = index;
        return undefined;
      }
      case RecordKind.Snapshot: {
        const confState = getConfState(view, header.payloadStart, header.payloadEnd);
        if (confState === undefined) return 'is no snapshot';
        this.groups.stored(id).installSnapshot({ index, term, confState });
        this.lastIndexes.set(id, index);
        return undefined;
      }
      case RecordKind.Compact:
        this.compact(this.groups.stored(id), index, term);
        return undefined;
      case RecordKind.RemoveGroup:
        this.removeGroup(id);
        return undefined;
      case RecordKind.VoteFloor:
        this.groups.stored(id).floor = { index, term };
        return undefined;
      case RecordKind.GroupState:
        return this.applyGroupState(view, header);
      case RecordKind.StoreState:
        return this.applyStoreState(view, header, segment);
      case RecordKind.DropSegments:
        return this.applyDrop(view, header);
      default:
        return `has the unknown kind ${header.kind}`;
    }
  }

  private applyEntry(group: GroupState, header: RecordHeader, segment: number, at: number): void {
    const { table } = group;
    const { index } = header;
    this.entriesScanned++;
    if (index < table.firstIndex || index > table.lastIndex + 1) table.reset(index);
    else if (index <= table.lastIndex) table.truncateFrom(index);
    table.append(header.term, segment, at, header.payloadEnd - header.payloadStart);
    this.lastIndexes.set(group.id, index);
  }

  private compact(group: GroupState, index: LogIndex, term: number): void {
    group.compactTo(index, term);
    if (group.table.count === 0) group.table.reset(index + 1);
    this.lastIndexes.set(group.id, Math.max(this.lastOf(group), index));
  }

  private removeGroup(id: GroupId): void {
    this.groups.remove(id);
    this.lastIndexes.delete(id);
  }

  private applyGroupState(view: DataView, header: RecordHeader): string | undefined {
    const fields = getGroupState(view, header);
    if (fields === undefined) return 'is no group state';
    const group = this.groups.stored(header.group);
    group.hardState = { term: fields.hardTerm, vote: fields.vote, commit: fields.commit };
    group.confState = fields.confState;
    group.confIndex = fields.confIndex;
    // If there is one, its record comes next.
    group.floor = LOG_START;
    group.table.truncateFrom(fields.lastIndex + 1);
    this.compact(group, fields.compactedIndex, fields.compactedTerm);
    this.lastIndexes.set(group.id, fields.lastIndex);
    this.listed.add(group.id);
    this.dropUnlisted();
    return undefined;
  }

  private applyStoreState(
    view: DataView,
    header: RecordHeader,
    segment: number,
  ): string | undefined {
    const segments = getNumbers(view, header);
    if (segments?.includes(segment) !== true) return 'does not list its own segment';
    this.segmentsInUse = new Set(segments);
    this.listed = new Set();
    this.listedExpected = header.index;
    this.dropUnlisted();
    return undefined;
  }

  /** Once the store state is complete, a group that is not in it was removed before. */
  private dropUnlisted(): void {
    if (this.listed.size < this.listedExpected) return;
    const removed: GroupId[] = [];
    for (const group of this.groups.allStored()) {
      if (!this.listed.has(group.id)) removed.push(group.id);
    }
    for (const id of removed) this.removeGroup(id);
  }

  private applyDrop(view: DataView, header: RecordHeader): string | undefined {
    const segments = getNumbers(view, header);
    if (segments === undefined) return 'is no list of segments';
    for (const segment of segments) this.segmentsInUse.delete(segment);
    return undefined;
  }
}
