/**
 * Judges generations of keys once they are closed, and remembers how their keys must look.
 *
 * In: generations. Out: violations; the histories that show them, as files. Each key is read once more
 * when its generation ended, however long that takes while the cluster is in trouble. Generations wait
 * in a bounded line: a cluster that answers nothing for that long has failed anyway.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from '@flotilla/client';
import { STEPS_MAX_DEFAULT } from '@flotilla/linearizability';
import { type ClientPool } from './client-pool.js';
import { type Generation, type LastSeen } from './generation.js';
import { perform, WrongAnswerError, type Answered } from './operations.js';
import { type Random } from './random.js';
import { type TableFigures } from './table-figures.js';

const WAITING_MAX = 500;
/** Keys that are looked at again at the very end; of more than these, the oldest are not. */
const LAST_SEEN_MAX = 100_000;
/** A key that takes longer is judged when the load is over, so as not to hold it up. */
const STEPS_MAX_UNDER_LOAD = 300_000;
const LAST_READ_MS = 300_000;
const PAUSE_MS = 100;
/** Client number of the last reads in histories; those of the load begin at 1. */
const JUDGE_CLIENT = 0;

export interface JudgeOptions {
  readonly pool: ClientPool;
  readonly random: Random;
  readonly figures: ReadonlyMap<string, TableFigures>;
  /** Where histories are kept. */
  readonly folder: string;
  /** Keep those that are right as well. */
  readonly keepAll: boolean;
  readonly onViolation: (what: string) => void;
}

export class Judge {
  readonly lastSeen: LastSeen[] = [];
  private readonly late: Generation[] = [];
  private readonly waiting = new Set<Promise<void>>();

  constructor(private readonly options: JudgeOptions) {}

  /** Takes a generation that is closed; it is judged as soon as its last operation ended. */
  take(generation: Generation): void {
    const task = this.finish(generation).catch((error: unknown) => {
      this.options.onViolation(`${nameOf(generation)}: ${String(error)}`);
      this.keep(generation);
    });
    this.waiting.add(task);
    void task.finally(() => this.waiting.delete(task));
    if (this.waiting.size > WAITING_MAX) {
      this.options.onViolation(
        `${this.waiting.size} generations of keys wait for their last reads`,
      );
    }
  }

  /** Settles once everything that was taken is judged. */
  async end(): Promise<void> {
    await Promise.all(this.waiting);
    for (const generation of this.late.splice(0)) this.judge(generation, STEPS_MAX_DEFAULT);
  }

  private async finish(generation: Generation): Promise<void> {
    await generation.close();
    for (const state of generation.targets) await this.readLast(generation, state);
    this.lastSeen.push(...generation.lastSeen());
    if (this.lastSeen.length > LAST_SEEN_MAX) {
      this.lastSeen.splice(0, this.lastSeen.length - LAST_SEEN_MAX);
    }
    this.judge(generation, STEPS_MAX_UNDER_LOAD);
  }

  private async readLast(
    generation: Generation,
    state: Generation['targets'][number],
  ): Promise<void> {
    const { pool, random } = this.options;
    const { target } = state;
    const untilMs = performance.now() + LAST_READ_MS;
    for (;;) {
      const call = performance.now();
      const asked = { client: JUDGE_CLIENT, table: target.table, key: target.name, call };
      let answered: Answered;
      try {
        const options = { timeoutMs: 2_000, withFound: false };
        answered = await perform(pool.pick(random), target, { kind: 'get' }, options);
      } catch (error) {
        if (error instanceof WrongAnswerError || !(error instanceof ClientError)) throw error;
        if (performance.now() > untilMs) throw error;
        await sleep(PAUSE_MS);
        continue;
      }
      generation.begin(state);
      const end = { outcome: 'ok' as const, ...answered, return: performance.now() };
      generation.end(state, { ...asked, kind: 'get', ...end });
      return;
    }
  }

  private judge(generation: Generation, stepsMax: number): void {
    const { verdict, keys, operations, description } = generation.judge(stepsMax);
    if (verdict === 'unknown' && stepsMax < STEPS_MAX_DEFAULT) {
      this.late.push(generation);
      return;
    }
    const figures = this.options.figures.get(generation.table);
    if (figures) {
      figures.generations++;
      figures.keys += keys;
      figures.judged += operations;
    }
    if (verdict === 'linearizable') {
      if (this.options.keepAll) this.keep(generation);
      return;
    }
    this.keep(generation);
    this.options.onViolation(`${nameOf(generation)} is ${verdict}: ${description}`);
  }

  private keep(generation: Generation): void {
    mkdirSync(this.options.folder, { recursive: true });
    const file = `${generation.table}-${generation.number}.jsonl`;
    writeFileSync(join(this.options.folder, file), generation.history());
  }
}

function nameOf({ table, number }: Generation): string {
  return `history of table ${table}, generation ${number},`;
}
