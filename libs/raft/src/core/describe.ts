/**
 * Texts for people and transcripts: messages, entries, batches, snapshots.
 *
 * The wording is that of the recorded transcripts, to the byte. Nothing here is parsed again, and
 * nothing here is called unless somebody reads the result.
 */
import { formatConfChanges } from './confchange/format.js';
import { asV2 } from './confchange/types.js';
import { confChangeFromEntry } from './membership.js';
import type { Ready, SoftState } from './ready.js';
import {
  EntryType,
  LOCAL_APPEND_THREAD,
  LOCAL_APPLY_THREAD,
  MessageType,
  NONE,
  type ConfState,
  type Entry,
  type HardState,
  type Message,
  type NodeId,
  type Snapshot,
} from './types.js';
import { hex } from './logger.js';

const MESSAGE_NAMES: ReadonlyMap<MessageType, string> = new Map(
  Object.entries(MessageType).map(([name, type]) => [type, `Msg${name}`]),
);

const ENTRY_NAMES: ReadonlyMap<EntryType, string> = new Map(
  Object.entries(EntryType).map(([name, type]) => [type, `Entry${name}`]),
);

/** `MsgApp` and the like. */
export function messageName(type: MessageType): string {
  return MESSAGE_NAMES.get(type) ?? `MsgUnknown(${String(type)})`;
}

export function describeTarget(id: NodeId): string {
  switch (id) {
    case NONE:
      return 'None';
    case LOCAL_APPEND_THREAD:
      return 'AppendThread';
    case LOCAL_APPLY_THREAD:
      return 'ApplyThread';
    default:
      return hex(id);
  }
}

export function describeSoftState(state: SoftState): string {
  return `Lead:${state.lead} State:${state.state}`;
}

export function describeHardState(state: HardState): string {
  const vote = state.vote === NONE ? '' : ` Vote:${state.vote}`;
  return `Term:${state.term}${vote} Commit:${state.commit}`;
}

export function describeConfState(state: ConfState): string {
  return (
    `Voters:[${state.voters.join(' ')}] VotersOutgoing:[${state.votersOutgoing.join(' ')}] ` +
    `Learners:[${state.learners.join(' ')}] LearnersNext:[${state.learnersNext.join(' ')}] ` +
    `AutoLeave:${state.autoLeave}`
  );
}

export function describeSnapshot(snapshot: Snapshot): string {
  const { index, term, confState } = snapshot.metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

export function describeEntry(entry: Entry): string {
  const what = describePayload(entry);
  const name = ENTRY_NAMES.get(entry.type) ?? String(entry.type);
  return `${entry.term}/${entry.index} ${name}${what === '' ? '' : ` ${what}`}`;
}

function describePayload(entry: Entry): string {
  if (entry.type === EntryType.Normal) return quote(entry.data);
  return formatConfChanges(asV2(confChangeFromEntry(entry)).changes);
}

/** One line an entry. */
export function describeEntries(entries: readonly Entry[]): string {
  return entries.map((entry) => `${describeEntry(entry)}\n`).join('');
}

export function describeMessage(message: Message): string {
  return describeMessageIndented(message, '');
}

function describeMessageIndented(message: Message, indent: string): string {
  const { from, to, type, term, logTerm, index } = message;
  let text =
    `${indent}${describeTarget(from)}->${describeTarget(to)} ${messageName(type)} ` +
    `Term:${term} Log:${logTerm}/${index}`;
  if (message.reject) text += ` Rejected (Hint: ${message.rejectHint})`;
  if (message.commit !== 0) text += ` Commit:${message.commit}`;
  if (message.vote !== NONE) text += ` Vote:${message.vote}`;
  text += describeMessageEntries(message.entries, indent);
  if (message.snapshot !== undefined && message.snapshot.metadata.index !== 0) {
    text += `\n${indent}  Snapshot: ${describeSnapshot(message.snapshot)}`;
  }
  if (message.responses.length > 0) {
    const responses = message.responses.map((each) => describeMessageIndented(each, `${indent}  `));
    text += ` Responses:[\n${responses.join('\n')}\n${indent}]`;
  }
  return text;
}

function describeMessageEntries(entries: readonly Entry[], indent: string): string {
  const [first] = entries;
  if (first === undefined) return '';
  if (entries.length === 1) return ` Entries:[${describeEntry(first)}]`;
  const lines = entries.map((entry) => `\n${indent}  ${describeEntry(entry)}`);
  return ` Entries:[${lines.join('')}\n${indent}]`;
}

/** Several lines, or `<empty Ready>`. */
export function describeReady(ready: Ready): string {
  const lines: string[] = [];
  if (ready.softState !== undefined) lines.push(describeSoftState(ready.softState));
  if (ready.hardState !== undefined) {
    lines.push(`HardState ${describeHardState(ready.hardState)}`);
  }
  if (ready.readStates.length > 0) {
    const reads = ready.readStates.map(
      ({ index, requestContext }) => `{${index} [${requestContext.join(' ')}]}`,
    );
    lines.push(`ReadStates [${reads.join(' ')}]`);
  }
  if (ready.entries.length > 0) lines.push('Entries:', ...ready.entries.map(describeEntry));
  if (ready.snapshot !== undefined) lines.push(`Snapshot ${describeSnapshot(ready.snapshot)}`);
  if (ready.committedEntries.length > 0) {
    lines.push('CommittedEntries:', ...ready.committedEntries.map(describeEntry));
  }
  if (ready.messages.length > 0) {
    lines.push('Messages:', ...ready.messages.map(describeMessage));
  }
  if (lines.length === 0) return '<empty Ready>';
  return `Ready MustSync=${ready.mustSync}:\n${lines.join('\n')}\n`;
}

/** Bytes in double quotes, with escapes for all that is not printable ASCII. */
export function quote(data: Uint8Array): string {
  let text = '"';
  for (const byte of data) {
    const char = String.fromCharCode(byte);
    if (char === '"' || char === '\\') text += `\\${char}`;
    else if (char === '\n') text += '\\n';
    else if (char === '\t') text += '\\t';
    else if (char === '\r') text += '\\r';
    else if (byte >= 0x20 && byte < 0x7f) text += char;
    else text += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${text}"`;
}
