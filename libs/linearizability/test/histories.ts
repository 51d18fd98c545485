/**
 * Histories drawn for property tests.
 *
 * A *true* history comes from a real order: each operation has an instant at which it took effect, its
 * output is what the model gives there, and its call and return lie around it. Some lose their
 * answer, and some of those never happen. A *wild* history has outputs nobody computed.
 */
import * as fc from 'fast-check';
import { type Model, type Operation } from '../src/checker/operation.js';
import { type KvInput, type KvOutput, type KvState } from '../src/models/kv-model.js';
import {
  type RegisterInput,
  type RegisterOutput,
  type RegisterValue,
} from '../src/models/register-model.js';

export type RegisterOperation = Operation<RegisterInput, RegisterOutput>;
export type KvOperation = Operation<KvInput, KvOutput>;

/** Gives the output an input has in a state, and the state after it. */
type Run<S, I, O> = (state: S, input: I) => { output: O; state: S };

const value = fc.integer({ min: 0, max: 2 });
const registerInput: fc.Arbitrary<RegisterInput> = fc.oneof(
  fc.constant({ kind: 'read' } as const),
  fc.record({ kind: fc.constant('write' as const), value }),
  fc.record({ kind: fc.constant('cas' as const), expected: value, value }),
);
const text = fc.constantFrom('a', 'b', 'c');
const kvInput: fc.Arbitrary<KvInput> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'get' } as const) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('put' as const), value: text }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'delete' } as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('txn-cas' as const),
      expected: fc.option(text),
      value: fc.option(text),
    }),
  },
);

const fate = fc.constantFrom('ok', 'ok', 'ok', 'ok', 'ok', 'lost', 'never');

interface Drawn<I> {
  readonly input: I;
  readonly fate: string;
  readonly before: number;
  readonly after: number;
}

const drawn = <I>(input: fc.Arbitrary<I>, lengthMax: number): fc.Arbitrary<Drawn<I>[]> => {
  const span = fc.integer({ min: 0, max: 60 });
  return fc.array(fc.record({ input, fate, before: span, after: span }), {
    minLength: 1,
    maxLength: lengthMax,
  });
};

function trueHistory<S, I, O>(
  operations: readonly Drawn<I>[],
  init: S,
  run: Run<S, I, O>,
  unknown: O,
): Operation<I, O>[] {
  let state = init;
  return operations.map(({ input, fate, before, after }, client) => {
    const instant = client * 20;
    const call = instant - before;
    if (fate === 'never') return { client, input, output: unknown, call, return: Infinity };
    const result = run(state, input);
    ({ state } = result);
    if (fate === 'lost') return { client, input, output: unknown, call, return: Infinity };
    return { client, input, output: result.output, call, return: instant + after };
  });
}

const runRegister: Run<RegisterValue, RegisterInput, RegisterOutput> = (state, input) => {
  if (input.kind === 'read') return { output: { kind: 'read', value: state }, state };
  if (input.kind === 'write') return { output: { kind: 'done' }, state: input.value };
  if (state === input.expected) return { output: { kind: 'done' }, state: input.value };
  return { output: { kind: 'differed' }, state };
};

/** The table's own revision goes up by one with each change asked for, of this key or of another. */
const runKv: Run<KvState & { table: number }, KvInput, KvOutput> = (state, input) => {
  const found = state.value;
  if (input.kind === 'get') {
    const seen = found === null ? {} : { revision: state.revision };
    return { output: { outcome: 'ok', found, ...seen }, state };
  }
  const revision = state.table + 1 + (state.table % 3);
  const output = { outcome: 'ok', revision } as const;
  const same = { ...state, table: revision };
  const to = (value: string | null) => ({ ...same, value, revision });
  if (input.kind === 'put') return { output, state: to(input.value) };
  if (input.kind === 'delete') return { output: { ...output, found }, state: to(null) };
  const succeeded = found === input.expected;
  return { output: { ...output, succeeded }, state: succeeded ? to(input.value) : same };
};

export const trueRegisterHistory = (lengthMax: number): fc.Arbitrary<RegisterOperation[]> =>
  drawn(registerInput, lengthMax).map((operations) =>
    trueHistory<RegisterValue, RegisterInput, RegisterOutput>(operations, null, runRegister, {
      kind: 'unknown',
    }),
  );

export const trueKvHistory = (lengthMax: number): fc.Arbitrary<KvOperation[]> =>
  drawn(kvInput, lengthMax).map((operations) =>
    trueHistory<KvState & { table: number }, KvInput, KvOutput>(
      operations,
      { value: null, revision: 0, isExact: true, table: 0 },
      runKv,
      { outcome: 'unknown' },
    ),
  );

const wildOutput = (input: RegisterInput): fc.Arbitrary<RegisterOutput> =>
  input.kind === 'read'
    ? fc.option(value).map((read) => ({ kind: 'read', value: read }))
    : input.kind === 'write'
      ? fc.constant({ kind: 'done' })
      : fc.constantFrom({ kind: 'done' }, { kind: 'differed' });

export const wildRegisterHistory = (lengthMax: number): fc.Arbitrary<RegisterOperation[]> =>
  fc.array(
    registerInput.chain((input) =>
      fc
        .record({
          client: fc.nat({ max: 3 }),
          output: wildOutput(input),
          call: fc.nat({ max: 30 }),
          span: fc.option(fc.nat({ max: 15 }), { freq: 5 }),
        })
        .map(({ client, output, call, span }): RegisterOperation => {
          if (span !== null) return { client, input, output, call, return: call + span };
          return { client, input, output: { kind: 'unknown' }, call, return: Infinity };
        }),
    ),
    { maxLength: lengthMax },
  );

/** The same history with another answer of one of its gets; undefined if it has none. */
export function withOneGetChanged(
  operations: readonly KvOperation[],
  pick: number,
  change: Partial<KvOutput>,
): KvOperation[] | undefined {
  const gets = operations.filter(
    ({ input, return: end }) => input.kind === 'get' && end !== Infinity,
  );
  const target = gets[pick % Math.max(1, gets.length)];
  if (target === undefined) return undefined;
  return operations.map((one) =>
    one === target ? { ...one, output: { ...one.output, ...change } } : one,
  );
}

/** Whether the model allows these operations one after the other, from its first state. */
export function isAllowed<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
): boolean {
  let state: S | undefined = model.init();
  for (const { input, output } of operations) {
    state = model.step(state, input, output);
    if (state === undefined) return false;
  }
  return true;
}
