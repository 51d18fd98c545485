/** What one key of a table may answer, operation by operation. */
import { describe, expect, it } from 'vitest';
import { checkLinearizable } from '../checker/check-linearizable.js';
import { kvModel, type KvInput, type KvOutput } from './kv-model.js';

type Step = readonly [KvInput, Omit<KvOutput, 'outcome'> | 'unknown'];

const put = (value: string): KvInput => ({ kind: 'put', value });
const cas = (expected: string | null, value: string | null): KvInput => ({
  kind: 'txn-cas',
  expected,
  value,
});
const get: KvInput = { kind: 'get' };
const remove: KvInput = { kind: 'delete' };

/** One after the other, those of unknown outcome at any time from their place on. */
function verdict(...steps: Step[]): string {
  const operations = steps.map(([input, answer], at) => {
    const isUnknown = answer === 'unknown';
    const output: KvOutput = isUnknown ? { outcome: 'unknown' } : { outcome: 'ok', ...answer };
    const times = { call: at * 10, return: isUnknown ? Infinity : at * 10 + 5 };
    return { client: at, input, output, ...times };
  });
  return checkLinearizable(kvModel, operations).verdict;
}

describe('a get', () => {
  it('finds the last value at the revision of its put', () => {
    expect(verdict([put('a'), { revision: 4 }], [get, { found: 'a', revision: 4 }])).toBe(
      'linearizable',
    );
    expect(verdict([put('a'), { revision: 4 }], [get, { found: 'a', revision: 5 }])).toBe(
      'not-linearizable',
    );
    expect(verdict([put('a'), { revision: 4 }], [get, { found: 'b', revision: 4 }])).toBe(
      'not-linearizable',
    );
  });

  it('tells two puts of one value apart by their revisions', () => {
    const puts: Step[] = [
      [put('a'), { revision: 4 }],
      [put('a'), { revision: 6 }],
    ];
    expect(verdict(...puts, [get, { found: 'a', revision: 6 }])).toBe('linearizable');
    expect(verdict(...puts, [get, { found: 'a', revision: 4 }])).toBe('not-linearizable');
    expect(verdict(...puts, [get, { found: 'a' }])).toBe('linearizable');
  });

  it('finds nothing before the first put and after a delete', () => {
    expect(verdict([get, { found: null }])).toBe('linearizable');
    expect(
      verdict([put('a'), { revision: 4 }], [remove, { revision: 5 }], [get, { found: null }]),
    ).toBe('linearizable');
    expect(
      verdict(
        [put('a'), { revision: 4 }],
        [remove, { revision: 5 }],
        [get, { found: 'a', revision: 4 }],
      ),
    ).toBe('not-linearizable');
    expect(verdict([get, { found: null, revision: 3 }])).toBe('not-linearizable');
  });
});

describe('revisions', () => {
  it.each([
    ['put', [put('b'), { revision: 4 }]],
    ['delete', [remove, { revision: 3 }]],
    ['compare-and-set', [cas('a', 'b'), { revision: 4, succeeded: true }]],
    ['compare-and-set that differed', [cas('x', 'b'), { revision: 4, succeeded: false }]],
  ] as const)('rise with each %s', (_, step) => {
    expect(verdict([put('a'), { revision: 4 }], step)).toBe('not-linearizable');
    const later = [step[0], { ...step[1], revision: 5 }] as const;
    expect(verdict([put('a'), { revision: 4 }], later)).toBe('linearizable');
  });

  it('never go back, not even after a delete', () => {
    const until: Step[] = [
      [put('a'), { revision: 4 }],
      [remove, { revision: 8 }],
    ];
    expect(verdict(...until, [put('b'), { revision: 7 }])).toBe('not-linearizable');
    expect(verdict(...until, [put('b'), { revision: 9 }])).toBe('linearizable');
  });
});

describe('compare-and-set', () => {
  it('says whether the value was the expected one', () => {
    const before: Step = [put('a'), { revision: 1 }];
    expect(verdict(before, [cas('a', 'b'), { succeeded: false }])).toBe('not-linearizable');
    expect(verdict(before, [cas('b', 'c'), { succeeded: true }])).toBe('not-linearizable');
    expect(verdict(before, [cas('a', null), { succeeded: true }], [get, { found: null }])).toBe(
      'linearizable',
    );
  });

  it('takes absence for a value', () => {
    expect(verdict([cas(null, 'a'), { succeeded: true }], [get, { found: 'a' }])).toBe(
      'linearizable',
    );
    expect(verdict([put('a'), {}], [cas(null, 'b'), { succeeded: true }])).toBe('not-linearizable');
  });
});

describe('an answer that was lost', () => {
  it('leaves a revision open until a get fixes it', () => {
    const lost: Step[] = [
      [put('a'), { revision: 4 }],
      [put('b'), 'unknown'],
    ];
    expect(verdict(...lost, [get, { found: 'b', revision: 9 }])).toBe('linearizable');
    expect(verdict(...lost, [get, { found: 'b', revision: 4 }])).toBe('not-linearizable');
    const seen: Step[] = [...lost, [get, { found: 'b', revision: 9 }]];
    expect(verdict(...seen, [get, { found: 'b', revision: 9 }])).toBe('linearizable');
    expect(verdict(...seen, [get, { found: 'b', revision: 10 }])).toBe('not-linearizable');
    expect(verdict(...seen, [put('c'), { revision: 9 }])).toBe('not-linearizable');
  });

  it('of a compare-and-set changes only what it was to change', () => {
    const before: Step = [put('a'), { revision: 4 }];
    const after: Step = [get, { found: 'c', revision: 5 }];
    expect(verdict(before, [cas('a', 'c'), 'unknown'], after)).toBe('linearizable');
    expect(verdict(before, [cas('b', 'c'), 'unknown'], after)).toBe('not-linearizable');
  });
});

it('the value before a change, where it was asked for, is a read', () => {
  expect(verdict([put('a'), {}], [put('b'), { found: 'a' }])).toBe('linearizable');
  expect(verdict([put('a'), {}], [put('b'), { found: null }])).toBe('not-linearizable');
  expect(verdict([put('a'), {}], [remove, { found: 'b' }])).toBe('not-linearizable');
  expect(verdict([put('a'), {}], [cas('b', 'c'), { succeeded: false, found: 'a' }])).toBe(
    'linearizable',
  );
});
