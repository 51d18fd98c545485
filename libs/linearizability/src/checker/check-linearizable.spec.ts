/** Histories of a register made by hand: each of a kind that a store got wrong, or was blamed for. */
import { describe, expect, it } from 'vitest';
import {
  registerModel,
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
} from '../models/register-model.js';
import { checkByKey } from './check-by-key.js';
import { checkLinearizable } from './check-linearizable.js';
import { describeViolation } from './describe-violation.js';
import { HistoryError, type Operation } from './operation.js';

type Op = Operation<RegisterInput, RegisterOutput>;

const done = { kind: 'done' } as const;
const unknown = { kind: 'unknown' } as const;

function op(input: RegisterInput, output: RegisterOutput, call: number, end: number): Op {
  return { client: 0, input, output, call, return: end };
}
const write = (value: number, call: number, end: number) =>
  op({ kind: 'write', value }, end === Infinity ? unknown : done, call, end);
const read = (value: RegisterValue, call: number, end: number) =>
  op({ kind: 'read' }, { kind: 'read', value }, call, end);
const cas = (
  [expected, value]: readonly [number, number],
  call: number,
  end: number,
  output: RegisterOutput = done,
) => op({ kind: 'cas', expected, value }, output, call, end);

const verdict = (...operations: Op[]) => checkLinearizable(registerModel, operations).verdict;

describe('what clients may see', () => {
  it('is the first state, if nothing was written', () => {
    expect(verdict()).toBe('linearizable');
    expect(verdict(read(null, 0, 1))).toBe('linearizable');
    expect(verdict(read(1, 0, 1))).toBe('not-linearizable');
  });

  it('is an acknowledged write, from then on', () => {
    expect(verdict(write(1, 0, 1), read(1, 2, 3))).toBe('linearizable');
    expect(verdict(write(1, 0, 1), read(null, 2, 3))).toBe('not-linearizable');
  });

  it('is either value while a write runs, but never the old one after the new one', () => {
    const running = write(1, 0, 10);
    expect(verdict(running, read(null, 1, 2), read(1, 3, 4))).toBe('linearizable');
    expect(verdict(running, read(1, 1, 2), read(null, 3, 4))).toBe('not-linearizable');
    expect(verdict(running, read(1, 1, 4), read(null, 3, 6))).toBe('linearizable');
  });

  it('is in no order by calls and returns of the same instant', () => {
    expect(verdict(write(1, 0, 5), read(null, 5, 6))).toBe('linearizable');
    expect(verdict(write(1, 0, 5), read(null, 5.001, 6))).toBe('not-linearizable');
  });

  it('does not depend on the order in which the operations are given', () => {
    expect(verdict(read(2, 6, 7), read(1, 2, 3), write(2, 4, 5), write(1, 0, 1))).toBe(
      'linearizable',
    );
  });
});

describe('a write of unknown outcome', () => {
  it('may show at any time after its call, or never', () => {
    const lost = write(2, 2, Infinity);
    expect(verdict(write(1, 0, 1), lost, read(1, 3, 4))).toBe('linearizable');
    expect(verdict(write(1, 0, 1), lost, read(1, 3, 4), read(2, 5, 6))).toBe('linearizable');
    expect(verdict(lost, write(1, 3, 4), read(2, 5, 6))).toBe('linearizable');
  });

  it('shows neither before its call, nor twice', () => {
    const lost = write(2, 2, Infinity);
    expect(verdict(read(2, 0, 1), lost)).toBe('not-linearizable');
    expect(verdict(lost, read(2, 3, 4), write(1, 5, 6), read(1, 7, 8), read(2, 9, 10))).toBe(
      'not-linearizable',
    );
  });

  it('can be what makes another one of unknown outcome possible', () => {
    const first = cas([1, 2], 2, Infinity, unknown);
    const second = cas([2, 3], 3, Infinity, unknown);
    expect(verdict(write(1, 0, 1), second, first, read(3, 4, 5))).toBe('linearizable');
    expect(verdict(write(1, 0, 1), second, read(3, 4, 5))).toBe('not-linearizable');
  });
});

describe('compare-and-set', () => {
  it('succeeds once from one value', () => {
    const set = write(1, 0, 1);
    expect(verdict(set, cas([1, 2], 2, 5), cas([1, 3], 3, 6))).toBe('not-linearizable');
    expect(verdict(set, cas([1, 2], 2, 5), cas([1, 3], 3, 6, { kind: 'differed' }))).toBe(
      'linearizable',
    );
  });

  it('that says the value differed has read another one', () => {
    expect(verdict(write(1, 0, 1), cas([1, 2], 2, 3, { kind: 'differed' }))).toBe(
      'not-linearizable',
    );
  });
});

describe('bounds', () => {
  const many = Array.from({ length: 12 }, (_, at) => write(at, 0, 100));
  const hopeless = [...many, read(77, 101, 102)];

  it('of steps and of memory end a search with no verdict', () => {
    expect(checkLinearizable(registerModel, hopeless, { stepsMax: 50 })).toMatchObject({
      verdict: 'unknown',
      steps: 50,
    });
    const { verdict } = checkLinearizable(registerModel, hopeless, { configurationsMax: 50 });
    expect(verdict).toBe('unknown');
  });

  it('are far away: the same set of writes with the same value is searched once', () => {
    const { verdict, steps } = checkLinearizable(registerModel, hopeless);
    expect(verdict).toBe('not-linearizable');
    // 12 writes have 479,001,600 orders, but only 12 * 2^11 + 1 sets with a last one.
    expect(steps).toBeLessThan(12 * 12 * 2 ** 11);
  });

  it('hold for a key without an order only until the others had their turn', () => {
    const wrong = read(5, 200, 201);
    const keyOf = (operation: Op) => (operation === wrong ? 'wrong' : 'slow');
    const slow = Array.from({ length: 17 }, (_, at) => write(at, 0, 100));
    const result = checkByKey(registerModel, [...slow, read(77, 101, 102), wrong], keyOf);
    expect(result).toMatchObject({ verdict: 'not-linearizable', violation: { key: 'wrong' } });
    expect(result.steps).toBeLessThan(60_000);
  });

  it('leave out what unknown writes used up in vain', () => {
    const lost = Array.from({ length: 14 }, (_, at) => write(at, at, Infinity));
    const known = Array.from({ length: 40 }, (_, at) => write(100 + at, 20 + 2 * at, 21 + 2 * at));
    const { verdict, steps } = checkLinearizable(registerModel, [
      ...lost,
      ...known,
      read(77, 200, 201),
    ]);
    expect(verdict).toBe('not-linearizable');
    // A write that nobody read is overwritten by the next one: no subset of them needs a look.
    expect(steps).toBeLessThan(100 * 14 * 14);
  });

  it('count lost operations that are alike once', () => {
    const lost = Array.from({ length: 30 }, (_, at) => write(1 + (at % 2), at, Infinity));
    const reads = Array.from({ length: 24 }, (_, at) => read(1 + (at % 2), 40 + at, 40.5 + at));
    const { verdict, steps } = checkLinearizable(registerModel, [
      ...lost,
      ...reads,
      read(77, 100, 101),
    ]);
    expect(verdict).toBe('not-linearizable');
    expect(steps).toBeLessThan(24 * 30 * 10);
  });
});

it('a history of a hundred thousand operations on one key is judged in seconds', () => {
  const operations = Array.from({ length: 100_000 }, (_, at) =>
    at % 2 === 0 ? write(at % 7, at * 10, at * 10 + 35) : read((at - 1) % 7, at * 10, at * 10 + 35),
  );
  const { verdict, longest } = checkLinearizable(registerModel, operations);
  expect(verdict).toBe('linearizable');
  expect(longest.linearized).toHaveLength(100_000);
});

it('times that no history can have are refused', () => {
  expect(() => verdict(read(1, 2, 1))).toThrow(HistoryError);
  expect(() => verdict(read(1, Number.NaN, 1))).toThrow(HistoryError);
  expect(() => verdict(read(1, 0, Number.NaN))).toThrow(HistoryError);
  expect(() => verdict(read(1, Infinity, Infinity))).toThrow(HistoryError);
});

it('a violation is shown with the operations it is stuck on, and those before', () => {
  const client = (number: number, operation: Op): Op => ({ ...operation, client: number });
  const result = checkLinearizable(registerModel, [
    client(1, write(1, 0, 1)),
    client(12, write(2, 2, 5)),
    client(3, write(4, 3, Infinity)),
    client(1, read(4, 4, 6)),
    client(2, read(1, 7, 8)),
  ]);
  expect(describeViolation(registerModel, result).replace(/\d+ steps/, 'STEPS')).toBe(
    [
      'register: not-linearizable; 4 of 5 operations have an order (STEPS), ' +
        'none of the 1 that could come next fits 4',
      '  client  1  write 1    ├┤          1',
      '  client 12  write 2      ├──┤      2',
      '  client  3  write 4 ?     ├─────╌  3',
      '  client  1  read 4         ├─┤     4',
      '  client  2  read 1            ├┤   stuck',
    ].join('\n'),
  );
});
