import fc from 'fast-check';
import { expect, it } from 'vitest';

import { openLogStore } from './index.js';
import { contentOf, temporaryDirectory } from './testing/fixtures.js';
import { LogModel, type ModelStep } from './testing/log-model.js';
import { type Pick, SimulatedFiles } from './testing/simulated-files.js';
import { UnsyncedFiles } from './testing/unsynced-files.js';
import type { LogStore, LogStoreOptions } from './types.js';

const GROUPS = 5;
const DIRECTORY = 'disk/raft';

const step: fc.Arbitrary<ModelStep> = fc.record({
  group: fc.integer({ min: 0, max: GROUPS - 1 }),
  kind: fc.oneof(
    { arbitrary: fc.constant('append' as const), weight: 6 },
    { arbitrary: fc.constant('compact' as const), weight: 4 },
    { arbitrary: fc.constant('overwrite' as const), weight: 3 },
    { arbitrary: fc.constant('hard-state' as const), weight: 2 },
    {
      arbitrary: fc.constantFrom(
        'conf' as const,
        'snapshot' as const,
        'floor' as const,
        'remove' as const,
      ),
      weight: 1,
    },
  ),
  size: fc.integer({ min: 0, max: 40 }),
  place: fc.integer({ min: 0, max: 20 }),
});

type Action =
  | { readonly kind: 'write'; readonly steps: ModelStep[]; readonly sync: boolean }
  | { readonly kind: 'drop' }
  | { readonly kind: 'reopen' }
  /** Batches whose sync never comes back, then the power goes. */
  | { readonly kind: 'crash'; readonly unfinished: ModelStep[][]; readonly seed: number };

const steps = fc.array(step, { minLength: 1, maxLength: 6 });
const writeAction: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('write' as const),
  steps,
  sync: fc.boolean(),
});
const dropAction: fc.Arbitrary<Action> = fc.constant({ kind: 'drop' });
const reopenAction: fc.Arbitrary<Action> = fc.constant({ kind: 'reopen' });
const crashAction: fc.Arbitrary<Action> = fc.record({
  kind: fc.constant('crash' as const),
  unfinished: fc.array(steps, { maxLength: 3 }),
  seed: fc.nat(),
});

function actions(maxLength: number, withCrash: boolean): fc.Arbitrary<Action[]> {
  return fc.array(
    fc.oneof(
      { arbitrary: writeAction, weight: 10 },
      { arbitrary: dropAction, weight: 3 },
      { arbitrary: reopenAction, weight: 1 },
      { arbitrary: crashAction, weight: withCrash ? 2 : 0 },
    ),
    { minLength: 5, maxLength },
  );
}

/** Small numbers from a seed, the same every time. */
function picker(seed: number): Pick {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function holds(store: LogStore, model: LogModel): boolean {
  if (JSON.stringify(stored(store)) !== JSON.stringify(model.ids())) return false;
  for (let id = 0; id < GROUPS; id++) {
    const found = JSON.stringify(contentOf(store.group(id)));
    if (found !== JSON.stringify(model.contentOf(id))) return false;
  }
  return true;
}

function stored(store: LogStore): number[] {
  return store.groups().sort((left, right) => left - right);
}

function expectToHold(store: LogStore, model: LogModel): void {
  expect(stored(store)).toEqual(model.ids());
  for (let id = 0; id < GROUPS; id++) {
    expect(contentOf(store.group(id))).toEqual(model.contentOf(id));
  }
  const live = model
    .ids()
    .reduce((sum, id) => sum + store.group(id).lastIndex() + 1 - store.group(id).firstIndex(), 0);
  expect(store.stats().entries).toBe(live);
}

class Run {
  /** The model after each batch since the last opening; `acknowledged` counts into it. */
  private history: LogModel[] = [new LogModel()];
  private acknowledged = 0;

  constructor(
    private store: LogStore,
    private files: SimulatedFiles | undefined,
    private readonly open: (files: SimulatedFiles | undefined) => Promise<LogStore>,
  ) {}

  async perform(action: Action): Promise<void> {
    if (action.kind === 'write') {
      const written = this.begin(action.steps, action.sync);
      expectToHold(this.store, this.newest());
      await written;
    } else if (action.kind === 'drop') {
      await this.store.dropObsoleteSegments();
      expectToHold(this.store, this.newest());
    } else if (action.kind === 'reopen') {
      await this.reopen();
    } else await this.crash(action.unfinished, action.seed);
  }

  async reopen(): Promise<void> {
    await this.store.close();
    this.store = await this.open(this.files);
    expectToHold(this.store, this.newest());
    expect(this.store.stats().recovery.cutBytes).toBe(0);
    this.history = [this.newest()];
    this.acknowledged = 0;
  }

  close(): Promise<void> {
    return this.store.close();
  }

  private newest(): LogModel {
    const newest = this.history.at(-1);
    if (newest === undefined) throw new Error('the history is never empty');
    return newest;
  }

  private async begin(wanted: readonly ModelStep[], sync: boolean): Promise<void> {
    const model = this.newest().clone();
    const batch = this.store.batch();
    for (const one of wanted) model.apply(one, batch);
    this.history.push(model);
    const position = this.history.length - 1;
    await this.store.write(batch, { sync });
    if (sync) this.acknowledged = Math.max(this.acknowledged, position);
  }

  private async crash(unfinished: ModelStep[][], seed: number): Promise<void> {
    const { files } = this;
    if (files === undefined) return;
    const pick = picker(seed);
    // One of the next syncs, of a frame or of a new segment, never comes back.
    let passes = pick(3);
    files.syncGate = () => (passes-- > 0 ? Promise.resolve() : new Promise(() => undefined));
    for (const wanted of unfinished) {
      // The promise may stay open for ever, or fail because the power went.
      this.begin(wanted, true).catch(() => undefined);
      for (let turn = pick(12); turn > 0; turn--) await Promise.resolve();
    }
    this.files = files.crash(pick);
    this.store = await this.open(this.files);
    const candidates = this.history.slice(this.acknowledged);
    const survived = candidates.findLast((model) => holds(this.store, model));
    if (survived === undefined) expectToHold(this.store, this.newest());
    this.history = [survived ?? this.newest()];
    this.acknowledged = 0;
    expectToHold(this.store, this.newest());
  }
}

const OPTIONS: LogStoreOptions = { segmentBytesMax: 900, cacheBytesMax: 1500, readHandlesMax: 2 };

it('what is acknowledged survives any crash, and each batch is there whole or not at all', async () => {
  await fc.assert(
    fc.asyncProperty(actions(60, true), async (sequence) => {
      const open = (files: SimulatedFiles | undefined): Promise<LogStore> => {
        if (files === undefined) throw new Error('the simulated disk is missing');
        return openLogStore(DIRECTORY, { ...OPTIONS, files });
      };
      const files = new SimulatedFiles();
      const run = new Run(await open(files), files, open);
      for (const action of sequence) await run.perform(action);
      await run.reopen();
      await run.close();
    }),
    { numRuns: 500 },
  );
});

it('on real files too, any sequence of changes reads back as the model has it', async () => {
  await fc.assert(
    fc.asyncProperty(actions(40, false), async (sequence) => {
      const directory = temporaryDirectory();
      const options = { ...OPTIONS, files: new UnsyncedFiles() };
      const open = (): Promise<LogStore> => openLogStore(directory.path, options);
      const run = new Run(await open(), undefined, open);
      for (const action of sequence) await run.perform(action);
      await run.reopen();
      await run.close();
      directory.remove();
    }),
    { numRuns: 25 },
  );
});
