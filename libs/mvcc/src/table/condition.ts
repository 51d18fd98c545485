/**
 * The conditions of a Txn.
 *
 * In: conditions on one key or on all keys of a range, and a reader. Out: whether all hold. On the
 * wire a condition can speak of existence and of values; inside also of version, create and mod
 * revision, where an absent key counts as 0 in each (so "version = 0" means "does not exist"). It
 * must never throw for what a client may send: an operator or target nobody knows is false.
 */
import { mvccV1 } from '@flotilla/proto';
import { keyRangeOf } from './keyspace.js';
import { type Version } from './row-codec.js';
import { ROWS_HINT_DEFAULT, type RowReader } from './row-reader.js';

/** Rows between two moments at which the evaluation of a condition can be interrupted. */
const STEP_ROWS = 64;

export type ConditionOperator = 'equal' | 'greater' | 'less' | 'notEqual';

export type ConditionTest =
  /** The key exists; a range has a key. */
  | { target: 'exists' }
  /** Stored value against this one, bytewise. An absent key satisfies no operator. */
  | { target: 'value'; operator: ConditionOperator; value: Uint8Array }
  | {
      target: 'version' | 'createRevision' | 'modRevision';
      operator: ConditionOperator;
      number: number;
    }
  /** Holds for nothing. */
  | { target: 'never' };

export interface Condition {
  key: Uint8Array;
  /** Every key of the range must satisfy the test; absent for the single key. */
  rangeEnd?: Uint8Array | undefined;
  test: ConditionTest;
}

const OPERATORS: Readonly<Record<number, ConditionOperator>> = {
  [mvccV1.Compare_CompareResult.EQUAL]: 'equal',
  [mvccV1.Compare_CompareResult.GREATER]: 'greater',
  [mvccV1.Compare_CompareResult.LESS]: 'less',
  [mvccV1.Compare_CompareResult.NOT_EQUAL]: 'notEqual',
};

/** A wire condition without a value asks for existence, whatever its operator says. */
export function conditionOf(compare: mvccV1.Compare): Condition {
  return {
    key: compare.key,
    rangeEnd: compare.rangeEnd.length === 0 ? undefined : compare.rangeEnd,
    test: testOf(compare),
  };
}

function testOf(compare: mvccV1.Compare): ConditionTest {
  if (compare.targetUnion === undefined) return { target: 'exists' };
  const operator = OPERATORS[compare.result];
  if (operator === undefined || compare.target !== mvccV1.Compare_CompareTarget.VALUE) {
    return { target: 'never' };
  }
  return { target: 'value', operator, value: compare.targetUnion.value };
}

export function allHold(reader: RowReader, conditions: readonly Condition[]): boolean {
  return conditions.every((condition) => drained(holds(reader, condition)));
}

/** Yields every so many rows, so that whoever drains it can stop in between. */
export function* holds(reader: RowReader, condition: Condition): Generator<void, boolean, void> {
  const { key, rangeEnd, test } = condition;
  if (rangeEnd === undefined) return satisfies(test, reader.get(key));
  const cursor = reader.open({
    range: keyRangeOf(key, rangeEnd),
    keysOnly: test.target === 'exists',
    rowsHint: test.target === 'exists' ? 1 : ROWS_HINT_DEFAULT,
  });
  try {
    let row = cursor.next();
    if (row === undefined) return satisfies(test, undefined);
    if (test.target === 'exists') return true;
    for (let count = 1; row !== undefined; row = cursor.next(), count++) {
      if (!satisfies(test, row)) return false;
      if (count % STEP_ROWS === 0) yield;
    }
    return true;
  } finally {
    cursor.close();
  }
}

function drained<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

function satisfies(test: ConditionTest, row: Version | undefined): boolean {
  switch (test.target) {
    case 'never':
      return false;
    case 'exists':
      return row !== undefined;
    case 'value':
      return row !== undefined && agrees(Buffer.compare(row.value, test.value), test.operator);
    default:
      return agrees((row === undefined ? 0 : row[test.target]) - test.number, test.operator);
  }
}

/** `order` is the sign of stored minus given. */
function agrees(order: number, operator: ConditionOperator): boolean {
  switch (operator) {
    case 'equal':
      return order === 0;
    case 'greater':
      return order > 0;
    case 'less':
      return order < 0;
    case 'notEqual':
      return order !== 0;
  }
}
