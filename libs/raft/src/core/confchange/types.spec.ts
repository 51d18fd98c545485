import { describe, expect, it } from 'vitest';
import { formatConfChange, formatConfChanges, parseConfChanges } from './format.js';
import {
  ConfChangeDecodeError,
  ConfChangeTransition,
  ConfChangeType,
  asV2,
  decodeConfChange,
  decodeConfChangeV2,
  encodeConfChange,
  encodeConfChangeV2,
  enterJoint,
  leaveJoint,
  type ConfChange,
  type ConfChangeV2,
} from './types.js';

const NO_BYTES = new Uint8Array(0);
const bytes = (...values: number[]) => Uint8Array.from(values);
const v2 = (text: string, transition: ConfChangeTransition = 0): ConfChangeV2 => ({
  transition,
  changes: parseConfChanges(text),
  context: NO_BYTES,
});

describe('a membership change', () => {
  it('goes through a joint configuration unless it is automatic and concerns one member', () => {
    const { Auto, JointImplicit, JointExplicit } = ConfChangeTransition;
    expect(enterJoint(v2('v1'))).toEqual({ use: false, autoLeave: false });
    expect(enterJoint(v2('', Auto))).toEqual({ use: false, autoLeave: false });
    expect(enterJoint(v2('v1 v2'))).toEqual({ use: true, autoLeave: true });
    expect(enterJoint(v2('v1', JointImplicit))).toEqual({ use: true, autoLeave: true });
    expect(enterJoint(v2('v1 r2', JointExplicit))).toEqual({ use: true, autoLeave: false });
    expect(enterJoint(v2('', JointExplicit))).toEqual({ use: true, autoLeave: false });
  });

  it('leaves a joint configuration if it is empty, whatever its context', () => {
    expect(leaveJoint(v2(''))).toBe(true);
    expect(leaveJoint({ ...v2(''), context: bytes(1) })).toBe(true);
    expect(leaveJoint(v2('', ConfChangeTransition.JointExplicit))).toBe(false);
    expect(leaveJoint(v2('u1'))).toBe(false);
  });

  it('of the first version is one automatic change of the second', () => {
    const change: ConfChange = { type: ConfChangeType.RemoveNode, nodeId: 3, context: bytes(7) };
    expect(asV2(change)).toEqual({ ...v2('r3'), context: bytes(7) });
    expect(asV2(v2('v1 l2'))).toEqual(v2('v1 l2'));
  });

  it('is read from and written as text', () => {
    expect(formatConfChanges(parseConfChanges(' v1  l2\nr3 u4 '))).toBe('v1 l2 r3 u4');
    expect(parseConfChanges('')).toEqual([]);
    expect(() => parseConfChanges('v1 x2')).toThrow('unknown input: x2');
    expect(() => parseConfChanges('v')).toThrow('unknown token v');
    expect(() => parseConfChanges('v1a')).toThrow('not a node id: v1a');
  });

  it('is named in full in log lines', () => {
    expect(formatConfChange(v2('v3 l4', 1))).toBe(
      'transition:ConfChangeTransitionJointImplicit ' +
        'changes:{type:ConfChangeAddNode node_id:3} ' +
        'changes:{type:ConfChangeAddLearnerNode node_id:4}',
    );
    expect(formatConfChange(v2(''))).toBe('transition:ConfChangeTransitionAuto');
    const first = { type: ConfChangeType.UpdateNode, nodeId: 5, context: NO_BYTES };
    expect(formatConfChange(first)).toBe('type:ConfChangeUpdateNode node_id:5');
  });
});

describe('the wire form', () => {
  it('is that of raftpb', () => {
    const first = { type: ConfChangeType.AddLearnerNode, nodeId: 300, context: bytes(1, 2) };
    expect(encodeConfChange(first)).toEqual(bytes(0x10, 3, 0x18, 0xac, 2, 0x22, 2, 1, 2));
    const second = { ...v2('r1 v0', ConfChangeTransition.JointExplicit), context: bytes(9) };
    expect(encodeConfChangeV2(second)).toEqual(
      bytes(0x08, 2, 0x12, 4, 0x08, 1, 0x10, 1, 0x12, 0, 0x1a, 1, 9),
    );
    expect(encodeConfChangeV2(v2(''))).toEqual(NO_BYTES);
  });

  it('is read with its zeros written out, its unused fields set and fields of later versions', () => {
    const change = decodeConfChange(
      bytes(0x08, 5, 0x10, 0, 0x18, 2, 0x22, 0, 0x2a, 1, 7, 0x35, 1, 2, 3, 4),
    );
    expect(change).toEqual({ type: ConfChangeType.AddNode, nodeId: 2, context: NO_BYTES });
    expect(decodeConfChangeV2(bytes(0x08, 0, 0x12, 4, 0x08, 0, 0x10, 1))).toEqual(v2('v1'));
    expect(decodeConfChangeV2(NO_BYTES)).toEqual(v2(''));
  });

  it('writes only what can be read back', () => {
    for (const nodeId of [-1, 1.5, 2 ** 53, NaN]) {
      const change = { type: ConfChangeType.AddNode, nodeId, context: NO_BYTES };
      expect(() => encodeConfChange(change)).toThrow(RangeError);
    }
  });

  it.each([
    ['a cut number', bytes(0x18, 0x80)],
    ['a missing value', bytes(0x18)],
    ['a cut context', bytes(0x22, 3, 1, 2)],
    ['a number beyond 2^53', bytes(0x18, 255, 255, 255, 255, 255, 255, 255, 255, 1)],
    ['a number of eleven bytes', bytes(0x18, ...new Array<number>(10).fill(0x80), 0)],
    ['field number 0', bytes(0x00, 1)],
    ['an unknown wire type', bytes(0x2b)],
    ['bytes where a number belongs', bytes(0x1a, 0)],
    ['an unknown type of change', bytes(0x10, 4)],
  ])('refuses %s', (_name, data) => {
    expect(() => decodeConfChange(data)).toThrow(ConfChangeDecodeError);
  });

  it('refuses damage inside of a nested change', () => {
    expect(() => decodeConfChangeV2(bytes(0x12, 2, 0x08, 9))).toThrow(ConfChangeDecodeError);
    expect(() => decodeConfChangeV2(bytes(0x12, 1, 0x10))).toThrow(ConfChangeDecodeError);
    expect(() => decodeConfChangeV2(bytes(0x08, 3))).toThrow(ConfChangeDecodeError);
  });
});
