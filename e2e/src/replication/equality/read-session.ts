/**
 * A reader of a follower cluster that never wants to see less than it has seen: every read asks for the revision
 * that the one before has told.
 *
 * In: keys. Out: what each read showed, with the revision that it told; a revision that goes back is a failure.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpcClient } from '@flotilla/grpc';
import { mvccV1, regattaV1 } from '@flotilla/proto';
import { type Draw } from '../../harness/seeded.js';
import { type Observation } from './tracked-writes.js';

const CALL_MS = 30_000;
const PAUSE_MS = 10;
/** Keys of one read, in a transaction. */
const KEYS_PER_READ = 6;
const OBSERVATIONS_MAX = 20_000;

export class ReadSession {
  readonly observations: Observation[] = [];
  readonly failures: string[] = [];
  private revision = 0;
  private isStopped = false;
  private running: Promise<void> | undefined;

  constructor(
    private readonly address: string,
    private readonly table: string,
    private readonly keys: readonly string[],
    private readonly draw: Draw,
  ) {}

  start(): void {
    this.running ??= this.run();
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    const client = createGrpcClient(this.address);
    while (!this.isStopped && this.observations.length < OBSERVATIONS_MAX) {
      const keys = Array.from(
        { length: KEYS_PER_READ },
        () => this.keys[this.draw(this.keys.length)] ?? '',
      );
      let told = -1;
      try {
        const answer = await client.unary('/regatta.v1.KV/Txn', this.requestOf(keys), {
          deadlineMs: CALL_MS,
          metadata: { 'min-revision': String(this.revision) },
          onHeaders: (headers) => void (told = Number(headers.get('flotilla-revision') ?? -1)),
        });
        this.observe(keys, told, regattaV1.TxnResponse.decode(answer));
      } catch (error) {
        this.failures.push(String(error));
        break;
      }
      await sleep(PAUSE_MS);
    }
    client.close();
  }

  /** All keys at one moment. */
  private requestOf(keys: readonly string[]): Uint8Array {
    const success = keys.map((key) => {
      const value = mvccV1.RequestOp_Range.fromPartial({ key: Buffer.from(key) });
      return mvccV1.RequestOp.fromPartial({ request: { $case: 'requestRange', value } });
    });
    const request = regattaV1.TxnRequest.fromPartial({ table: Buffer.from(this.table), success });
    return regattaV1.TxnRequest.encode(request).finish();
  }

  private observe(
    keys: readonly string[],
    revision: number,
    { responses }: regattaV1.TxnResponse,
  ): void {
    if (revision < this.revision) {
      this.failures.push(`revision ${revision} was told after ${this.revision}`);
    }
    this.revision = revision;
    const seen = keys.map((key, at) => {
      const response = responses[at]?.response;
      const range = response?.$case === 'responseRange' ? response.value : undefined;
      if (!range) throw new Error(`there is no answer for ${key}`);
      const [kv] = range.kvs;
      return { key, value: kv?.value.toString(), modRevision: Number(kv?.modRevision ?? 0n) };
    });
    this.observations.push({ revision, seen });
  }
}
