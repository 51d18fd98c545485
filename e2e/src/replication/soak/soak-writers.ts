/**
 * Writers of a soak: puts, deletes of keys and ranges, and transactions, until they are told to stop.
 *
 * In: clients, tables, chance. Out: counts. What fails is counted and left: a write of unknown outcome is in all
 * clusters or in none, and that is all a soak asks for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type FlotillaClient } from '@flotilla/client';
import { mvccV1 } from '@flotilla/proto';
import { type Random } from '../../faults/random.js';

const KEYS = 400;
const RANGE_KEYS = 8;
const VALUE_BYTES_MAX = 2_000;
const CALL_MS = 5_000;
const PAUSE_MS_MAX = 20;
const FAILURE_PAUSE_MS = 100;

export class SoakWriters {
  writes = 0;
  failures = 0;
  private isStopped = false;
  private going: Promise<void> = Promise.resolve();
  private go: () => void = () => undefined;
  private readonly running: Promise<void>[] = [];
  private busy = 0;

  constructor(
    private readonly clients: readonly FlotillaClient[],
    private readonly tables: readonly string[],
    private readonly random: Random,
    private readonly writers: number,
  ) {}

  start(): void {
    for (let nth = 0; nth < this.writers; nth++) {
      const client = this.clients[nth % this.clients.length];
      if (client) this.running.push(this.write(client, this.random.fork()));
    }
  }

  /** Settles once no write is under way. */
  async pause(): Promise<void> {
    this.going = new Promise((resolve) => (this.go = resolve));
    do await sleep(PAUSE_MS_MAX);
    while (this.busy > 0);
  }

  resume(): void {
    this.go();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    this.go();
    await Promise.all(this.running);
  }

  private async write(client: FlotillaClient, random: Random): Promise<void> {
    while (!this.isStopped) {
      await this.going;
      if (this.isStopped) return;
      this.busy++;
      try {
        await writeOnce(client, random.pick(this.tables), random);
        this.writes++;
        await sleep(random.below(PAUSE_MS_MAX));
      } catch {
        // A node is down, or the table is being made anew: whoever writes next may be luckier.
        this.failures++;
        await sleep(FAILURE_PAUSE_MS);
      } finally {
        this.busy--;
      }
    }
  }
}

async function writeOnce(client: FlotillaClient, table: string, random: Random): Promise<void> {
  const nth = random.below(KEYS);
  const [key, kind] = [keyOf(nth), random.below(10)];
  const options = { timeoutMs: CALL_MS };
  if (kind === 0) await client.deleteRange({ table, key }, options);
  else if (kind === 1) {
    await client.deleteRange({ table, key, rangeEnd: keyOf(nth + RANGE_KEYS) }, options);
  } else if (kind === 2 || kind === 3) {
    await client.txn({ table, ...exchange(key, keyOf(random.below(KEYS)), random) }, options);
  } else await client.put({ table, key, value: valueOf(random) }, options);
}

function keyOf(nth: number): string {
  return `k${String(nth).padStart(5, '0')}`;
}

function valueOf(random: Random): Buffer {
  const text = String(random.below(2 ** 30));
  return Buffer.alloc(random.between(text.length, VALUE_BYTES_MAX), text);
}

/** Where the first key exists it is deleted and the second one made, else both are made. */
function exchange(
  first: string,
  second: string,
  random: Random,
): { compare: mvccV1.Compare[]; success: mvccV1.RequestOp[]; failure: mvccV1.RequestOp[] } {
  const [key, other] = [Buffer.from(first), Buffer.from(second)];
  const of = (request: mvccV1.RequestOp['request']) => mvccV1.RequestOp.fromPartial({ request });
  const put = (to: Buffer) => {
    const value = mvccV1.RequestOp_Put.fromPartial({ key: to, value: valueOf(random) });
    return of({ $case: 'requestPut', value });
  };
  const gone = mvccV1.RequestOp_DeleteRange.fromPartial({ key });
  return {
    compare: [mvccV1.Compare.fromPartial({ key })],
    success: [of({ $case: 'requestDeleteRange', value: gone }), put(other)],
    failure: first === second ? [put(key)] : [put(key), put(other)],
  };
}
