/**
 * A client that reads and writes through the nodes of a simulation, one call at a time, and has the
 * judge look at every answer.
 *
 * Each value it writes is its own: nobody writes it again. What it is not told, or told too late, may
 * have happened or not.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { wasNotExecuted, type NodeCore } from '@flotilla/kv-node/simulation';
import { mvccV1, regattaV1 } from '@flotilla/proto';
import { InvariantError, type SimRandom, type SimWorld } from '@flotilla/raft/testing';
import { type Judge } from './judge.js';
import { type SimNode } from './sim-node.js';
import { noContext } from './transport/sim-metadata.js';
import { seen, type SeenRow, valuesOf } from './table-judge.js';

const { Compare_CompareResult: Result, Compare_CompareTarget: Target } = mvccV1;

/** What a client is told that tells it nothing about its write. */
const LATE = Symbol('late');
const KEYS = ['a', 'b', 'c', 'd'];
const EVERY_KEY = { start: 'a', end: 'e' };
const TIMEOUT_MIN_MS = 500;
const TIMEOUT_MAX_MS = 8_000;
const HOP_MAX_MS = 2;

export interface ClientWorld {
  readonly world: SimWorld;
  readonly random: SimRandom;
  readonly judge: Judge;
  /** Nodes that a client may know of. */
  nodes(): readonly SimNode[];
  /** Names of tables; those that are surely there, and stay, come first. */
  tables(): { readonly stable: readonly string[]; readonly all: readonly string[] };
  /** For how long clients rest now; not above 0 if they do not. */
  quietMs(): number;
  /** Whether clients go on. */
  goesOn(): boolean;
}

interface Asked {
  readonly table: string;
  readonly node: SimNode;
  readonly timeoutMs: number;
  /** What had been seen of every table when it began. */
  readonly floors: ReadonlyMap<number, number>;
  /** Tables that were deleted before it began. */
  readonly deleted: ReadonlySet<number>;
  readonly wasStable: boolean;
}

type Method = 'range' | 'put' | 'deleteRange' | 'txn';

export class SimClient {
  private count = 0;
  calls = 0;
  failures = 0;

  constructor(
    private readonly id: number,
    private readonly parts: ClientWorld,
    private readonly thinkMaxMs: number,
  ) {}

  async run(): Promise<void> {
    while (this.parts.goesOn()) {
      const restMs = Math.max(0, this.parts.quietMs());
      await this.wait(restMs + this.parts.random.next() * this.thinkMaxMs);
      if (this.parts.goesOn()) await this.once(this.draw());
    }
  }

  /** One write and one linearizable read; true when both were answered. */
  async proves(table: string, node: SimNode): Promise<boolean> {
    const wasStable = this.parts.tables().stable.includes(table);
    const asked = { ...this.draw(), table, node, wasStable, timeoutMs: TIMEOUT_MAX_MS };
    return (await this.put(asked)) && (await this.range({ ...asked, floors: this.floors() }, true));
  }

  private draw(): Asked {
    const { random } = this.parts;
    const { stable, all } = this.parts.tables();
    const nodes = this.parts.nodes();
    const table = all[random.below(all.length)] ?? '';
    const node = nodes[random.below(nodes.length)];
    if (!node) throw new Error('a simulation without nodes');
    const timeoutMs = TIMEOUT_MIN_MS + random.next() * (TIMEOUT_MAX_MS - TIMEOUT_MIN_MS);
    const deleted = this.parts.judge.deletedTables();
    const wasStable = stable.includes(table);
    return { table, node, timeoutMs, floors: this.floors(), deleted, wasStable };
  }

  private floors(): ReadonlyMap<number, number> {
    return this.parts.judge.floors();
  }

  private async once(asked: Asked): Promise<void> {
    const kind = this.parts.random.below(10);
    if (kind < 4) await this.put(asked);
    else if (kind < 5) await this.deleteRange(asked);
    else if (kind < 6) await this.txn(asked);
    else await this.range(asked, kind < 9);
  }

  private async put(asked: Asked): Promise<boolean> {
    const value = this.value();
    const fields = {
      table: Buffer.from(asked.table),
      key: Buffer.from(this.key()),
      value: Buffer.from(value),
      prevKv: this.parts.random.chance(0.3),
    };
    const request = regattaV1.PutRequest.encode(fields).finish();
    const answer = await this.ask(asked, 'put', request, [value]);
    if (!answer) return false;
    const { header, prevKv } = regattaV1.PutResponse.decode(answer);
    this.acknowledge(asked, header, (command, result) => {
      const response = result.responses[0]?.response;
      const before = response?.$case === 'responsePut' ? response.value.prevKv : undefined;
      return valuesOf(command)[0] === value && text(before?.value) === text(prevKv?.value);
    });
    return true;
  }

  private async deleteRange(asked: Asked): Promise<void> {
    const key = this.key();
    const fields = { table: Buffer.from(asked.table), key: Buffer.from(key), count: true };
    const request = regattaV1.DeleteRangeRequest.encode(
      regattaV1.DeleteRangeRequest.fromPartial(fields),
    ).finish();
    const answer = await this.ask(asked, 'deleteRange', request, []);
    if (!answer) return;
    const { header, deleted } = regattaV1.DeleteRangeResponse.decode(answer);
    this.acknowledge(asked, header, (command, { responses }) => {
      const response = responses[0]?.response;
      const count = response?.$case === 'responseDeleteRange' ? response.value.deleted : undefined;
      return text(command.kv?.key) === key && count === deleted;
    });
  }

  /** Two keys at once, if one of them has, or has not, been there. */
  private async txn(asked: Asked): Promise<void> {
    const { random } = this.parts;
    const [first, second] = [this.key(), this.key()];
    const values = [this.value(), this.value(), this.value()];
    const put = (key: string, value: string | undefined): mvccV1.RequestOp => ({
      request: {
        $case: 'requestPut',
        value: { key: Buffer.from(key), value: Buffer.from(value ?? ''), prevKv: true },
      },
    });
    const condition = {
      result: random.chance(0.5) ? Result.EQUAL : Result.NOT_EQUAL,
      target: Target.VALUE,
      key: Buffer.from(first),
      rangeEnd: Buffer.alloc(0),
    };
    const fields = {
      table: Buffer.from(asked.table),
      compare: [mvccV1.Compare.fromPartial(condition)],
      success: [put(first, values[0]), ...(first === second ? [] : [put(second, values[1])])],
      failure: [put(first, values[2])],
    };
    const request = regattaV1.TxnRequest.encode(fields).finish();
    const answer = await this.ask(asked, 'txn', request, values);
    if (!answer) return;
    const { header, succeeded, responses } = regattaV1.TxnResponse.decode(answer);
    this.acknowledge(asked, header, (command, result) => {
      const isSame = valuesOf(command)[0] === values[0] && result.succeeded === succeeded;
      return isSame && responses.length === result.responses.length;
    });
  }

  private async range(asked: Asked, linearizable: boolean): Promise<boolean> {
    const { random } = this.parts;
    const key = this.key();
    const range = random.chance(0.3) ? EVERY_KEY : { start: key, end: `${key}\0` };
    const fields = {
      table: Buffer.from(asked.table),
      key: Buffer.from(range.start),
      rangeEnd: Buffer.from(range.end),
      linearizable,
    };
    const request = regattaV1.RangeRequest.encode(
      regattaV1.RangeRequest.fromPartial(fields),
    ).finish();
    const answer = await this.ask(asked, 'range', request, []);
    if (!answer) return false;
    const { header, kvs } = regattaV1.RangeResponse.decode(answer);
    const rows = kvs.map(rowOf);
    const table = Number(header?.shardId ?? 0);
    this.parts.judge.check(() => {
      const judge = this.parts.judge.table(table);
      if (linearizable) this.isAlive(asked, table);
      if (linearizable) judge.reads(asked.floors.get(table) ?? 0, range, rows);
      else judge.readsStale(rows);
    });
    return true;
  }

  private acknowledge(
    asked: Asked,
    header: regattaV1.ResponseHeader | undefined,
    holds: Parameters<ReturnType<Judge['table']>['acknowledges']>[2],
  ): void {
    const table = Number(header?.shardId ?? 0);
    const revision = Number(header?.revision ?? 0);
    this.parts.judge.check(() => {
      this.isAlive(asked, table);
      const floor = asked.floors.get(table) ?? 0;
      this.parts.judge.table(table).acknowledges(floor, revision, holds);
    });
  }

  private isAlive({ deleted, node }: Asked, table: number): void {
    if (!deleted.has(table)) return;
    const detail = `node ${node.id} answered for table ${table}, which had been deleted before`;
    throw new InvariantError('deleted table', detail);
  }

  /** The answer; undefined when there is none, or an error that a client has to expect. */
  private async ask(
    asked: Asked,
    method: Method,
    request: Uint8Array,
    values: readonly string[],
  ): Promise<Uint8Array | undefined> {
    this.calls++;
    const outcome = await this.outcome(asked, method, request);
    const told =
      outcome instanceof Uint8Array ? Buffer.from(outcome).toString('hex') : String(outcome);
    this.parts.judge.told(`${this.id} ${method} ${this.parts.world.nowMs} ${told}`);
    if (outcome instanceof Uint8Array) return outcome;
    this.failures++;
    if (outcome === LATE) return undefined;
    if (wasNotExecuted(outcome)) for (const value of values) this.parts.judge.refuses(value);
    this.parts.judge.check(() => this.isExpected(asked, outcome));
    return undefined;
  }

  private outcome(asked: Asked, method: Method, request: Uint8Array): Promise<unknown> {
    const { world, random } = this.parts;
    const { node, timeoutMs } = asked;
    return new Promise((resolve) => {
      const back = (outcome: unknown) =>
        void world.at(random.next() * HOP_MAX_MS, () => resolve(outcome));
      world.at(timeoutMs + 2 * HOP_MAX_MS, () => resolve(LATE));
      world.at(random.next() * HOP_MAX_MS, () => {
        const isThere = node.enter((core) => {
          const deadline = (node.clock?.wallMs() ?? 0) + timeoutMs;
          answerOf(core, method, Buffer.from(request), deadline).then(back, back);
        });
        if (!isThere) back(LATE);
      });
    });
  }

  private isExpected(asked: Asked, error: unknown): void {
    const { table, node, wasStable } = asked;
    const where = `table ${table} at node ${node.id}`;
    if (!(error instanceof GrpcStatusError)) {
      throw new InvariantError('error', `${where}: ${String(error)}`);
    }
    if (error.code === status.NOT_FOUND && wasStable) {
      throw new InvariantError('table found', `${where}: ${error.message}`);
    }
    const isKnown = [status.UNAVAILABLE, status.NOT_FOUND, status.DEADLINE_EXCEEDED].some(
      (code) => code === error.code,
    );
    if (!isKnown) throw new InvariantError('error', `${where}: ${error.code} ${error.message}`);
  }

  private value(): string {
    return `${this.id}.${++this.count}`;
  }

  private key(): string {
    return KEYS[this.parts.random.below(KEYS.length)] ?? '';
  }

  private wait(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.parts.world.at(delayMs, resolve));
  }
}

async function answerOf(
  { cluster: { kv } }: NodeCore,
  method: Method,
  request: Buffer,
  deadline: number,
): Promise<Uint8Array> {
  const call = noContext(`/regatta.v1.KV/${method}`, deadline);
  if (method === 'range') return kv.range(request, call, 0);
  return kv[method](request, call, 0, ({ answer }) => answer);
}

function rowOf({ key, value, createRevision, modRevision }: mvccV1.KeyValue): SeenRow {
  return seen({
    key,
    value,
    createRevision: Number(createRevision),
    modRevision: Number(modRevision),
    version: 0,
    lease: 0,
  });
}

function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes && Buffer.from(bytes).toString();
}
