/**
 * The header blocks that a client sends.
 *
 * The first call of a path teaches the server its fields; from then on its block is a few bytes that
 * are kept and copied. Only the timeout, which differs from call to call, is written out each time.
 */
import { ACCEPTED_ENCODINGS } from '../encoding/registry.js';
import { type HpackEncoder, type Indexing } from '../http2/hpack-encoder.js';
import { type MetadataPairs } from '../server/server-call.js';

/** What all calls of a client have in common. */
export interface RequestCommon {
  readonly scheme: 'http' | 'https';
  readonly authority: string;
  readonly metadata: MetadataPairs;
}

const CONTENT_TYPE = 'application/grpc';
const USER_AGENT = 'grpc-node-flotilla/1.0';
/** Paths whose block is kept; a client that calls more of them than this makes them anew. */
const BLOCKS_MAX = 256;
const BLOCK_BYTES_MAX = 256;
/** A field that is in no table, its name in plain letters; the length of the value follows. */
const TIMEOUT_NAME = Buffer.from(`\x10\x0cgrpc-timeout`, 'latin1');

/** Says the same in every call of a user, and is long. */
const SAME_IN_CALLS: ReadonlySet<string> = new Set(['authorization']);

export class RequestBlocks {
  private readonly kept = new Map<string, Buffer>();
  private version = -1;
  private readonly joined = Buffer.allocUnsafeSlow(BLOCK_BYTES_MAX + TIMEOUT_NAME.length + 16);

  constructor(
    private readonly encoder: HpackEncoder,
    private readonly common: RequestCommon,
  ) {}

  /** The block is a view that the next one overwrites. `timeout` is '' if there is none. */
  request(path: string, encoding: string, pairs: MetadataPairs, timeout: string): Buffer {
    if (pairs.length > 0) return this.encode(path, encoding, pairs, timeout);
    const block = this.usual(path, encoding);
    return timeout === '' ? block : this.withTimeout(block, timeout);
  }

  private usual(path: string, encoding: string): Buffer {
    const { encoder, kept } = this;
    if (this.version !== encoder.version || kept.size >= BLOCKS_MAX) {
      kept.clear();
      this.version = encoder.version;
    }
    const key = encoding === 'identity' ? path : `${encoding} ${path}`;
    const known = kept.get(key);
    if (known) return known;
    const block = Buffer.from(this.encode(path, encoding, [], ''));
    if (this.version !== encoder.version || block.length > BLOCK_BYTES_MAX) return block;
    kept.set(key, block);
    return block;
  }

  private withTimeout(block: Buffer, timeout: string): Buffer {
    if (block.length > BLOCK_BYTES_MAX) {
      return Buffer.concat([
        block,
        TIMEOUT_NAME,
        Buffer.from([timeout.length]),
        Buffer.from(timeout),
      ]);
    }
    const { joined } = this;
    let at = block.copy(joined);
    at += TIMEOUT_NAME.copy(joined, at);
    joined[at++] = timeout.length;
    at += joined.write(timeout, at, 'latin1');
    return joined.subarray(0, at);
  }

  private encode(path: string, encoding: string, pairs: MetadataPairs, timeout: string): Buffer {
    const { encoder, common } = this;
    encoder.begin();
    encoder.field(':method', 'POST', 'pass');
    encoder.field(':scheme', common.scheme, 'pass');
    encoder.field(':path', path, 'keep');
    encoder.field(':authority', common.authority, 'keep');
    encoder.field('te', 'trailers', 'keep');
    encoder.field('content-type', CONTENT_TYPE, 'keep');
    encoder.field('user-agent', USER_AGENT, 'keep');
    if (encoding !== 'identity') encoder.field('grpc-encoding', encoding, 'keep');
    encoder.field('grpc-accept-encoding', ACCEPTED_ENCODINGS, 'keep');
    this.pairs(common.metadata, 'keep');
    if (timeout !== '') encoder.field('grpc-timeout', timeout, 'never');
    this.pairs(pairs, 'pass');
    return encoder.end();
  }

  private pairs(pairs: MetadataPairs, indexing: Indexing): void {
    for (const [name, value] of pairs) {
      const text = typeof value === 'string' ? value : value.toString('base64');
      this.encoder.field(name, text, SAME_IN_CALLS.has(name) ? 'keep' : indexing);
    }
  }
}

const TIMEOUT_MAX = 99_999_999;
const UNITS = [
  ['m', 1],
  ['S', 1_000],
  ['M', 60_000],
  ['H', 3_600_000],
] as const;

/** `grpc-timeout`: at most eight digits, in the finest unit that allows that. */
export function timeoutText(leftMs: number): string {
  for (const [unit, unitMs] of UNITS) {
    const amount = Math.max(1, Math.ceil(leftMs / unitMs));
    if (amount <= TIMEOUT_MAX) return `${amount}${unit}`;
  }
  return `${TIMEOUT_MAX}H`;
}
