/**
 * Puts rows into a table: several requests in flight, bounded in number and in bytes.
 *
 *   items -> checked -> gathered into a request -> sent -> acknowledged
 *              bad: named, counted; stops the import unless it was asked to go on
 *
 * A request that a node could not take for now is sent again until its time is over: putting the
 * same rows twice is harmless. `acknowledged` counts rows from the beginning without a gap, so that
 * an import that was cut can be taken up after them.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { toClientError, type FlotillaClient } from '@flotilla/client';
import type { mvccV1 } from '@flotilla/proto';
import { whyRefused, type BadRow, type ItemSource, type Row } from '../formats/item.js';

export interface ImportOptions {
  readonly table: string;
  readonly keyPrefix: string;
  /** Requests in flight. */
  readonly concurrency: number;
  /** Rows in one request, which are put at one revision. */
  readonly batchRows: number;
  readonly keepGoing: boolean;
  /** Rows at the beginning that are passed over. */
  readonly skip: number;
  /** How long one request may be tried. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface ImportResult {
  readonly keys: number;
  readonly bytes: number;
  readonly refused: number;
  /** Rows from the first one on that are stored, without a gap; what `--skip` takes. */
  readonly acknowledged: number;
  /** What ended the import before its end. */
  readonly failure: string | undefined;
}

export interface ImportEvents {
  refused(row: BadRow): void;
  progress(keys: number, bytes: number): void;
}

/** Bytes of keys and values in one request; a single larger row has its own. */
const REQUEST_BYTES_MAX = 512 * 1024;
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024;
const RETRY_PAUSE_MS = 100;

interface Request {
  readonly first: number;
  readonly rows: Row[];
  bytes: number;
}

export class Importer {
  private readonly inFlight = new Map<Request, Promise<void>>();
  private inFlightBytes = 0;
  private gathering: Request = { first: 0, rows: [], bytes: 0 };
  private seen = 0;
  private keys = 0;
  private bytes = 0;
  private refused = 0;
  private firstLost = Infinity;
  private failure: string | undefined;

  constructor(
    private readonly client: FlotillaClient,
    private readonly options: ImportOptions,
    private readonly events: ImportEvents,
  ) {}

  async run(source: ItemSource): Promise<ImportResult> {
    for await (const items of source) {
      for (const item of items) {
        if (this.ended()) return this.finish();
        const refusal = item.kind === 'bad' ? item : this.take(item);
        if (refusal) this.refuse(refusal);
        if (this.isFull()) await this.send();
      }
    }
    return this.finish();
  }

  private ended(): boolean {
    if (this.options.signal.aborted) this.failure ??= 'interrupted';
    return this.failure !== undefined;
  }

  /** Adds a row to the request that is being made, or says why not. */
  private take(row: Row): BadRow | undefined {
    this.seen++;
    if (this.seen <= this.options.skip) return undefined;
    const key = Buffer.concat([Buffer.from(this.options.keyPrefix), row.key]);
    const reason = whyRefused(key, row.value.length);
    if (reason !== undefined) return { kind: 'bad', where: row.where, reason };
    if (this.gathering.rows.length === 0) {
      this.gathering = { first: this.seen - 1, rows: [], bytes: 0 };
    }
    this.gathering.rows.push({ ...row, key });
    this.gathering.bytes += key.length + row.value.length;
    return undefined;
  }

  private refuse(row: BadRow): void {
    this.refused++;
    this.events.refused(row);
    if (!this.options.keepGoing) this.failure ??= `${row.where}: ${row.reason}`;
  }

  private isFull(): boolean {
    const { rows, bytes } = this.gathering;
    return rows.length >= this.options.batchRows || bytes >= REQUEST_BYTES_MAX;
  }

  /** Sends what was gathered, once there is room for it. */
  private async send(): Promise<void> {
    const request = this.gathering;
    if (request.rows.length === 0) return;
    this.gathering = { first: this.seen, rows: [], bytes: 0 };
    while (
      this.inFlight.size >= this.options.concurrency ||
      (this.inFlight.size > 0 && this.inFlightBytes + request.bytes > IN_FLIGHT_BYTES_MAX)
    ) {
      await Promise.race(this.inFlight.values());
    }
    this.inFlightBytes += request.bytes;
    this.inFlight.set(request, this.deliver(request));
  }

  /** Never rejects: a failure ends the import at the next row. */
  private async deliver(request: Request): Promise<void> {
    try {
      await this.putWithRetry(request.rows);
      this.keys += request.rows.length;
      this.bytes += request.bytes;
      this.events.progress(this.keys, this.bytes);
    } catch (error) {
      const { code, message } = toClientError(error);
      this.failure ??= `${request.rows[0]?.where ?? ''}: ${code}: ${message}`;
      this.firstLost = Math.min(this.firstLost, request.first);
    } finally {
      this.inFlight.delete(request);
      this.inFlightBytes -= request.bytes;
    }
  }

  private async putWithRetry(rows: readonly Row[]): Promise<void> {
    const endMs = performance.now() + this.options.timeoutMs;
    for (;;) {
      try {
        const timeoutMs = Math.max(1, endMs - performance.now());
        await this.put(rows, timeoutMs);
        return;
      } catch (error) {
        const again = toClientError(error).retryable && !this.options.signal.aborted;
        if (!again || performance.now() + RETRY_PAUSE_MS > endMs) throw error;
        await sleep(RETRY_PAUSE_MS);
      }
    }
  }

  private async put(rows: readonly Row[], timeoutMs: number): Promise<void> {
    const { table } = this.options;
    const [only, ...more] = rows;
    if (only && more.length === 0) {
      await this.client.put({ table, key: only.key, value: only.value }, { timeoutMs });
      return;
    }
    const success = rows.map(({ key, value }): mvccV1.RequestOp => ({
      request: { $case: 'requestPut', value: { key, value, prevKv: false } },
    }));
    await this.client.txn({ table, compare: [], success, failure: [] }, { timeoutMs });
  }

  private async finish(): Promise<ImportResult> {
    // Rows that were taken before a bad one are stored all the same.
    await this.send();
    await Promise.all(this.inFlight.values());
    const { keys, bytes, refused, failure } = this;
    return {
      keys,
      bytes,
      refused,
      failure: this.ended() ? this.failure : failure,
      acknowledged: Math.min(this.firstLost, this.seen),
    };
  }
}
