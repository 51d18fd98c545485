/**
 * The clients: each asks, notes what it asked and got, and asks again, until it is told to stop.
 *
 * In: tables, connections, chance. Out: generations of keys with their histories, one after the other,
 * and figures. A write whose end nobody knows is noted as such, and whoever made it goes on as somebody
 * else. An answer that no client should ever get is a violation.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError, type FlotillaClient } from '@flotilla/client';
import { type KvInput } from '@flotilla/linearizability';
import { type ClientPool } from './client-pool.js';
import { Generation } from './generation.js';
import { perform, WrongAnswerError, type Answered } from './operations.js';
import { type Random } from './random.js';
import { type TableFigures } from './table-figures.js';

const THINK_MS_MAX = 30;
const AFTER_FAILURE_MS_MAX = 100;
const CALL_MS_CHOICES = [500, 1_500, 3_000, 5_000] as const;
const GENERATION_MS_LEAST = 2_000;
const GENERATION_MS_MOST = 6_000;
/** A client stays with one connection for about so many operations. */
const STAY = 12;
/** Ends that a cluster in trouble may give a call; no other one is an answer to a right request. */
const EXPECTED_CODES: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
]);

export interface LoadOptions {
  readonly tables: readonly string[];
  readonly clients: number;
  readonly pool: ClientPool;
  readonly random: Random;
  readonly figures: ReadonlyMap<string, TableFigures>;
  /** A generation takes no new operations any more. */
  readonly onClosed: (generation: Generation) => void;
  readonly onViolation: (what: string) => void;
}

export class Load {
  private readonly generations = new Map<string, Generation>();
  private readonly running: Promise<void>[] = [];
  private isStopped = false;
  private lastClient = 0;
  private lastGeneration = 0;

  constructor(private readonly options: LoadOptions) {}

  start(): void {
    for (let at = 0; at < this.options.clients; at++) {
      const run = this.run(this.options.random.fork());
      this.running.push(run.catch((error: unknown) => this.options.onViolation(String(error))));
    }
  }

  /** Settles once nobody asks any more; the last generations are closed then. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.running);
    for (const generation of this.generations.values()) this.options.onClosed(generation);
    this.generations.clear();
  }

  private async run(random: Random): Promise<void> {
    const { pool } = this.options;
    let client = ++this.lastClient;
    let connection = pool.pick(random);
    while (!this.isStopped) {
      const outcome = await this.operate(random, client, connection);
      if (outcome === 'unknown') client = ++this.lastClient;
      if (random.chance(outcome === 'ok' ? 1 / STAY : 0.7)) connection = pool.pick(random);
      await sleep(random.below(outcome === 'ok' ? THINK_MS_MAX : AFTER_FAILURE_MS_MAX));
    }
  }

  private async operate(
    random: Random,
    client: number,
    connection: FlotillaClient,
  ): Promise<'ok' | 'fail' | 'unknown'> {
    const generation = this.generationOf(random.pick(this.options.tables), random);
    const state = random.pick(generation.targets);
    const { target } = state;
    const input = drawInput(random, `${client}.${state.begun}`, state.seen);
    const options = { timeoutMs: random.pick(CALL_MS_CHOICES), withFound: random.chance(0.5) };
    const asked = { client, table: target.table, key: target.name, ...input };
    generation.begin(state);
    const call = performance.now();
    let answered: Answered = {};
    let outcome: 'ok' | 'fail' | 'unknown' = 'ok';
    try {
      answered = await perform(connection, target, input, options);
    } catch (error) {
      outcome = this.outcomeOf(error, input.kind === 'get', JSON.stringify(asked));
    }
    const end = performance.now();
    this.options.figures.get(target.table)?.note(input.kind, outcome, end);
    const entry = {
      ...asked,
      outcome,
      ...answered,
      call,
      return: outcome === 'unknown' ? null : end,
    };
    generation.end(state, entry);
    return outcome;
  }

  private outcomeOf(error: unknown, isRead: boolean, asked: string): 'fail' | 'unknown' {
    if (error instanceof WrongAnswerError) this.options.onViolation(`${error.message} to ${asked}`);
    else if (!(error instanceof ClientError)) throw error;
    else if (!EXPECTED_CODES.has(error.code)) {
      this.options.onViolation(`${error.code} ${error.message} as an answer to ${asked}`);
    } else if (error.notExecuted) return 'fail';
    return isRead ? 'fail' : 'unknown';
  }

  private generationOf(table: string, random: Random): Generation {
    const nowMs = performance.now();
    const present = this.generations.get(table);
    if (present && !present.isFull && nowMs < present.endsMs) return present;
    const lifeMs = random.between(GENERATION_MS_LEAST, GENERATION_MS_MOST);
    const next = new Generation(table, ++this.lastGeneration, nowMs + lifeMs);
    this.generations.set(table, next);
    if (present) this.options.onClosed(present);
    return next;
  }
}

function drawInput(random: Random, value: string, seen: string | null): KvInput {
  const draw = random.next();
  if (draw < 0.35) return { kind: 'get' };
  if (draw < 0.65) return { kind: 'put', value };
  if (draw < 0.73) return { kind: 'delete' };
  return { kind: 'txn-cas', expected: seen, value: random.chance(0.1) ? null : value };
}
