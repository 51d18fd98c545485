/**
 * A reader of a cluster that looks at several keys at one moment, again and again.
 *
 * In: keys that are always written together, with a growing number. Out: each number that was seen anew; a read
 * that shows two of them, or that fails, and a told revision that goes back, are failures.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpcClient } from '@flotilla/grpc';
import { mvccV1, regattaV1 } from '@flotilla/proto';

const CALL_MS = 60_000;
const PAUSE_MS = 5;
const CHANGES_MAX = 100_000;

export class OneMomentReader {
  /** Numbers in the order in which they were seen, none twice in a row. */
  readonly seen: number[] = [];
  readonly failures: string[] = [];
  reads = 0;
  private revision = -1;
  private isStopped = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly address: string,
    private readonly table: string,
    private readonly keys: readonly string[],
  ) {
    this.running = this.run();
  }

  get last(): number {
    return this.seen.at(-1) ?? -1;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    const client = createGrpcClient(this.address);
    const request = this.request();
    while (!this.isStopped && this.seen.length < CHANGES_MAX && this.failures.length === 0) {
      let told = -1;
      try {
        const answer = await client.unary('/regatta.v1.KV/Txn', request, {
          deadlineMs: CALL_MS,
          onHeaders: (headers) => void (told = Number(headers.get('flotilla-revision') ?? -1)),
        });
        this.observe(told, regattaV1.TxnResponse.decode(answer));
      } catch (error) {
        this.failures.push(String(error));
      }
      await sleep(PAUSE_MS);
    }
    client.close();
  }

  private request(): Uint8Array {
    const success = this.keys.map((key) => {
      const value = mvccV1.RequestOp_Range.fromPartial({ key: Buffer.from(key) });
      return mvccV1.RequestOp.fromPartial({ request: { $case: 'requestRange', value } });
    });
    const request = regattaV1.TxnRequest.fromPartial({ table: Buffer.from(this.table), success });
    return regattaV1.TxnRequest.encode(request).finish();
  }

  private observe(told: number, { responses }: regattaV1.TxnResponse): void {
    this.reads++;
    if (told < this.revision) this.failures.push(`revision ${told} after ${this.revision}`);
    this.revision = told;
    const numbers = new Set<number>();
    const revisions = new Set<bigint>();
    for (const { response } of responses) {
      const [kv] = response?.$case === 'responseRange' ? response.value.kvs : [];
      numbers.add(Number(kv?.value.toString() ?? NaN));
      revisions.add(kv?.modRevision ?? -1n);
    }
    const [number = NaN] = numbers;
    if (numbers.size !== 1 || revisions.size !== 1 || Number.isNaN(number)) {
      const text = `${[...numbers].join()} of revisions ${[...revisions].join()}`;
      this.failures.push(`one read shows ${text}`);
    } else if (number !== this.last) this.seen.push(number);
  }
}
