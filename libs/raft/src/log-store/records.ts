/**
 * The records inside a frame: one change of one group each, or a statement about the segments.
 *
 * In: a change and the place to encode it at, or bytes and the place to decode from. Out: encoded
 * bytes, or the change. A record carries a checksum of its own, because reads of single entries
 * come back to it long after its frame was verified as a whole.
 *
 *     0 crc32c of all that follows   4 length of the record   8 kind   9 entry type   10 zero
 *    12 group                       20 index                 28 term  36 payload
 */
import { type ConfState, EntryType, type LogIndex, type Term } from '../core/types.js';
import { checksum, getU64, putU64 } from './format.js';
import type { GroupId } from './types.js';

/** The numbers are stored on disk. */
export const RecordKind = {
  /** index, term, entry type; payload: the entry's data. */
  Entry: 1,
  /** index: commit; term: term; payload: the vote. */
  HardState: 2,
  /** index: applied index it belongs to; payload: the configuration. */
  ConfState: 3,
  /** index, term of the snapshot; payload: the configuration. */
  Snapshot: 4,
  /** index, term of the compaction point. */
  Compact: 5,
  RemoveGroup: 6,
  /** Everything about a group but its entries. index, term: compaction point. */
  GroupState: 7,
  /** index: how many GroupState records follow; payload: the segments in use. */
  StoreState: 8,
  /** payload: segments that are no longer in use. */
  DropSegments: 9,
  /** index, term: where the log ended that the group gave up. */
  VoteFloor: 10,
} as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export const RECORD_HEADER_BYTES = 36;
const VOTE_BYTES = 8;
/** last index, hard state (term, vote, commit), configuration index. */
const GROUP_STATE_FIXED_BYTES = 40;

/** What is decoded from a record's header; the payload is `bytes[payloadStart..payloadEnd)`. */
export interface RecordHeader {
  readonly kind: number;
  readonly type: EntryType;
  readonly group: GroupId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly payloadStart: number;
  readonly payloadEnd: number;
}

/** A group's state without its entries, as a segment begins with it. */
export interface GroupStateFields {
  readonly compactedIndex: LogIndex;
  readonly compactedTerm: Term;
  readonly lastIndex: LogIndex;
  readonly hardTerm: Term;
  readonly vote: number;
  readonly commit: LogIndex;
  readonly confIndex: LogIndex;
  readonly confState: ConfState;
}

/** Where records go: bytes with room for `offset + length`. */
export interface RecordTarget {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function putHeader(
  view: DataView,
  at: number,
  kind: RecordKind,
  type: number,
  length: number,
  group: GroupId,
  index: LogIndex,
  term: Term,
): void {
  view.setUint32(at + 4, length, true);
  view.setUint32(at + 8, kind | (type << 8), true);
  putU64(view, at + 12, group);
  putU64(view, at + 20, index);
  putU64(view, at + 28, term);
}

function putChecksum(target: RecordTarget, at: number, length: number): void {
  target.view.setUint32(at, checksum(target.bytes, at + 4, at + length), true);
}

export function entryRecordBytes(payloadBytes: number): number {
  return RECORD_HEADER_BYTES + payloadBytes;
}

export function putEntryRecord(
  target: RecordTarget,
  at: number,
  group: GroupId,
  entry: { term: Term; index: LogIndex; type: EntryType; data: Uint8Array },
): void {
  const length = RECORD_HEADER_BYTES + entry.data.length;
  const { term, index, type } = entry;
  putHeader(target.view, at, RecordKind.Entry, type, length, group, index, term);
  target.bytes.set(entry.data, at + RECORD_HEADER_BYTES);
  putChecksum(target, at, length);
}

/** Every record but entries and group states: few fields, a small payload. */
export interface PlainRecord {
  readonly kind: RecordKind;
  readonly group: GroupId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly payload: Uint8Array;
}

export const NO_PAYLOAD: Uint8Array = new Uint8Array(0);

export function putPlainRecord(target: RecordTarget, at: number, record: PlainRecord): void {
  const length = RECORD_HEADER_BYTES + record.payload.length;
  const { kind, group, index, term } = record;
  putHeader(target.view, at, kind, 0, length, group, index, term);
  target.bytes.set(record.payload, at + RECORD_HEADER_BYTES);
  putChecksum(target, at, length);
}

export const HARD_STATE_RECORD_BYTES = RECORD_HEADER_BYTES + VOTE_BYTES;

export function putHardStateRecord(
  target: RecordTarget,
  at: number,
  group: GroupId,
  hardState: { term: Term; vote: number; commit: LogIndex },
): void {
  const length = HARD_STATE_RECORD_BYTES;
  const { term, commit } = hardState;
  putHeader(target.view, at, RecordKind.HardState, 0, length, group, commit, term);
  putU64(target.view, at + RECORD_HEADER_BYTES, hardState.vote);
  putChecksum(target, at, length);
}

export function groupStateRecordBytes(confState: ConfState): number {
  return RECORD_HEADER_BYTES + GROUP_STATE_FIXED_BYTES + confStateBytes(confState);
}

/** Returns the record's length. */
export function putGroupStateRecord(
  target: RecordTarget,
  at: number,
  group: GroupId,
  state: GroupStateFields,
): number {
  const { view } = target;
  const length = groupStateRecordBytes(state.confState);
  const { compactedIndex, compactedTerm } = state;
  putHeader(view, at, RecordKind.GroupState, 0, length, group, compactedIndex, compactedTerm);
  const body = at + RECORD_HEADER_BYTES;
  putU64(view, body, state.lastIndex);
  putU64(view, body + 8, state.hardTerm);
  putU64(view, body + 16, state.vote);
  putU64(view, body + 24, state.commit);
  putU64(view, body + 32, state.confIndex);
  putConfState(view, body + GROUP_STATE_FIXED_BYTES, state.confState);
  putChecksum(target, at, length);
  return length;
}

/** The header of the record at `at`, if its length stays within `end`; checksum not looked at. */
export function getRecordHeader(view: DataView, at: number, end: number): RecordHeader | undefined {
  if (at + RECORD_HEADER_BYTES > end) return undefined;
  const length = view.getUint32(at + 4, true);
  if (length < RECORD_HEADER_BYTES || length > end - at) return undefined;
  const kindAndType = view.getUint32(at + 8, true);
  const type = entryTypeOf((kindAndType >>> 8) & 0xff);
  if (type === undefined || kindAndType >>> 16 !== 0) return undefined;
  return {
    kind: kindAndType & 0xff,
    type,
    group: getU64(view, at + 12),
    index: getU64(view, at + 20),
    term: getU64(view, at + 28),
    payloadStart: at + RECORD_HEADER_BYTES,
    payloadEnd: at + length,
  };
}

/** Whether the record that begins at `at` and ends at `end` has the checksum it was given. */
export function isRecordIntact(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  end: number,
): boolean {
  return view.getUint32(at, true) === checksum(bytes, at + 4, end);
}

function entryTypeOf(value: number): EntryType | undefined {
  if (value === EntryType.Normal) return EntryType.Normal;
  if (value === EntryType.ConfChange) return EntryType.ConfChange;
  if (value === EntryType.ConfChangeV2) return EntryType.ConfChangeV2;
  return undefined;
}

export function getVote(view: DataView, header: RecordHeader): number | undefined {
  if (header.payloadEnd - header.payloadStart !== VOTE_BYTES) return undefined;
  return getU64(view, header.payloadStart);
}

export function getGroupState(view: DataView, header: RecordHeader): GroupStateFields | undefined {
  const body = header.payloadStart;
  const confStart = body + GROUP_STATE_FIXED_BYTES;
  if (confStart > header.payloadEnd) return undefined;
  const confState = getConfState(view, confStart, header.payloadEnd);
  if (confState === undefined) return undefined;
  return {
    compactedIndex: header.index,
    compactedTerm: header.term,
    lastIndex: getU64(view, body),
    hardTerm: getU64(view, body + 8),
    vote: getU64(view, body + 16),
    commit: getU64(view, body + 24),
    confIndex: getU64(view, body + 32),
    confState,
  };
}

export function encodeNumbers(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 8);
  const view = new DataView(bytes.buffer);
  numbers.forEach((value, at) => putU64(view, at * 8, value));
  return bytes;
}

export function getNumbers(view: DataView, header: RecordHeader): number[] | undefined {
  const { payloadStart, payloadEnd } = header;
  if ((payloadEnd - payloadStart) % 8 !== 0) return undefined;
  const numbers: number[] = [];
  for (let at = payloadStart; at < payloadEnd; at += 8) numbers.push(getU64(view, at));
  return numbers;
}

/** auto-leave flag, then per list its length and its members. */
const CONF_STATE_FIXED_BYTES = 4 + 4 * 4;

export function confStateBytes(state: ConfState): number {
  const members =
    state.voters.length +
    state.learners.length +
    state.votersOutgoing.length +
    state.learnersNext.length;
  return CONF_STATE_FIXED_BYTES + members * 8;
}

export function encodeConfState(state: ConfState): Uint8Array {
  const bytes = new Uint8Array(confStateBytes(state));
  putConfState(new DataView(bytes.buffer), 0, state);
  return bytes;
}

function putConfState(view: DataView, start: number, state: ConfState): void {
  view.setUint32(start, state.autoLeave ? 1 : 0, true);
  let at = putNodes(view, start + 4, state.voters);
  at = putNodes(view, at, state.learners);
  at = putNodes(view, at, state.votersOutgoing);
  putNodes(view, at, state.learnersNext);
}

/** Returns where the list ends. */
function putNodes(view: DataView, start: number, nodes: readonly number[]): number {
  view.setUint32(start, nodes.length, true);
  let at = start + 4;
  for (const node of nodes) {
    putU64(view, at, node);
    at += 8;
  }
  return at;
}

export function getConfState(view: DataView, start: number, end: number): ConfState | undefined {
  let at = start;
  const takeList = (): number[] | undefined => {
    if (at + 4 > end) return undefined;
    const count = view.getUint32(at, true);
    at += 4;
    if (count * 8 > end - at) return undefined;
    const list: number[] = [];
    for (let taken = 0; taken < count; taken++, at += 8) list.push(getU64(view, at));
    return list;
  };
  if (start + CONF_STATE_FIXED_BYTES > end) return undefined;
  const autoLeave = view.getUint32(at, true) === 1;
  at += 4;
  const voters = takeList();
  const learners = takeList();
  const votersOutgoing = takeList();
  const learnersNext = takeList();
  if (!voters || !learners || !votersOutgoing || !learnersNext || at !== end) return undefined;
  return { voters, learners, votersOutgoing, learnersNext, autoLeave };
}
