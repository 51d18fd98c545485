/**
 * Changes of membership as they travel in log entries, and their form on the wire.
 *
 * V1 changes one member; V2 changes any number, through a joint configuration where more than one
 * voter is concerned. Both have the protobuf form of raftpb, written and read here by hand: they are
 * small, and nothing else in the core needs a codec.
 */
import type { NodeId } from '../types.js';
import { ConfChangeDecodeError, ProtoReader, ProtoWriter } from './wire.js';

export { ConfChangeDecodeError } from './wire.js';

export const ConfChangeType = {
  AddNode: 0,
  RemoveNode: 1,
  UpdateNode: 2,
  AddLearnerNode: 3,
} as const;
export type ConfChangeType = (typeof ConfChangeType)[keyof typeof ConfChangeType];

/** How a V2 change is made effective. */
export const ConfChangeTransition = {
  /** Directly if that is safe, else through a joint configuration that is left automatically. */
  Auto: 0,
  /** Through a joint configuration that is left automatically. */
  JointImplicit: 1,
  /** Through a joint configuration that is left by an empty change. */
  JointExplicit: 2,
} as const;
export type ConfChangeTransition = (typeof ConfChangeTransition)[keyof typeof ConfChangeTransition];

/** V1: one member. */
export interface ConfChange {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
  readonly context: Uint8Array;
}

export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
}

/** V2. Without changes and with transition Auto it leaves a joint configuration. */
export interface ConfChangeV2 {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  readonly context: Uint8Array;
}

/** Either form as V2. */
export function asV2(change: ConfChange | ConfChangeV2): ConfChangeV2 {
  if ('changes' in change) return change;
  const { type, nodeId, context } = change;
  return { transition: ConfChangeTransition.Auto, changes: [{ type, nodeId }], context };
}

/** Whether the change goes through a joint configuration, and whether that is left by itself. */
export function enterJoint(change: ConfChangeV2): { use: boolean; autoLeave: boolean } {
  const { transition, changes } = change;
  const use = transition !== ConfChangeTransition.Auto || changes.length > 1;
  return { use, autoLeave: use && transition !== ConfChangeTransition.JointExplicit };
}

/** Whether the change leaves a joint configuration. */
export function leaveJoint(change: ConfChangeV2): boolean {
  return change.changes.length === 0 && change.transition === ConfChangeTransition.Auto;
}

/** raftpb.ConfChange: 1 id (unused), 2 type, 3 node_id, 4 context. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const out = new ProtoWriter();
  out.varint(2, change.type);
  out.varint(3, change.nodeId);
  out.bytes(4, change.context);
  return out.finish();
}

/** raftpb.ConfChangeV2: 1 transition, 2 changes { 1 type, 2 node_id }, 3 context. */
export function encodeConfChangeV2(change: ConfChangeV2): Uint8Array {
  const out = new ProtoWriter();
  out.varint(1, change.transition);
  for (const { type, nodeId } of change.changes) {
    const single = new ProtoWriter();
    single.varint(1, type);
    single.varint(2, nodeId);
    out.bytes(2, single.finish(), true);
  }
  out.bytes(3, change.context);
  return out.finish();
}

/** Throws ConfChangeDecodeError. */
export function decodeConfChange(data: Uint8Array): ConfChange {
  let type: ConfChangeType = ConfChangeType.AddNode;
  let nodeId = 0;
  let context: Uint8Array = NO_BYTES;
  new ProtoReader(data).each((field, reader) => {
    if (field === 2) type = confChangeType(reader.varint());
    else if (field === 3) nodeId = reader.varint();
    else if (field === 4) context = reader.bytes();
    else reader.skip();
  });
  return { type, nodeId, context };
}

/** Throws ConfChangeDecodeError. */
export function decodeConfChangeV2(data: Uint8Array): ConfChangeV2 {
  let transition: ConfChangeTransition = ConfChangeTransition.Auto;
  let context: Uint8Array = NO_BYTES;
  const changes: ConfChangeSingle[] = [];
  new ProtoReader(data).each((field, reader) => {
    if (field === 1) transition = confChangeTransition(reader.varint());
    else if (field === 2) changes.push(decodeSingle(reader.bytes()));
    else if (field === 3) context = reader.bytes();
    else reader.skip();
  });
  return { transition, changes, context };
}

function decodeSingle(data: Uint8Array): ConfChangeSingle {
  let type: ConfChangeType = ConfChangeType.AddNode;
  let nodeId = 0;
  new ProtoReader(data).each((field, reader) => {
    if (field === 1) type = confChangeType(reader.varint());
    else if (field === 2) nodeId = reader.varint();
    else reader.skip();
  });
  return { type, nodeId };
}

const NO_BYTES = new Uint8Array(0);

function confChangeType(value: number): ConfChangeType {
  const known = Object.values(ConfChangeType).find((type) => type === value);
  if (known === undefined) throw new ConfChangeDecodeError(`unknown type of change ${value}`);
  return known;
}

function confChangeTransition(value: number): ConfChangeTransition {
  const known = Object.values(ConfChangeTransition).find((each) => each === value);
  if (known === undefined) throw new ConfChangeDecodeError(`unknown transition ${value}`);
  return known;
}
