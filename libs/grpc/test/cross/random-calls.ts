/**
 * Calls chosen from a seed: every kind, encoding, size, deadline and cancellation.
 *
 * In: a seed and a number. Out: the calls, and what a server that keeps to gRPC must make of each.
 * Must never use another source of chance: a seed that found a difference finds it again.
 */
import { createHash } from 'node:crypto';

export const KINDS = ['unary', 'server-stream', 'client-stream', 'bidi'] as const;
export type Kind = (typeof KINDS)[number];
export type Encoding = 'identity' | 'gzip' | 'snappy' | 'zstd';
/** How a call is to end. */
export type Ending = 'answer' | 'error' | 'deadline' | 'cancel' | 'too-large' | 'silent';

export interface RandomCall {
  readonly number: number;
  readonly kind: Kind;
  readonly encoding: Encoding;
  readonly ending: Ending;
  /** Sizes of the requests, in bytes. */
  readonly sizes: readonly number[];
  /** Messages that a server stream gives. */
  readonly answers: number;
  readonly code: number;
  readonly text: string;
  readonly hasDeadline: boolean;
  readonly tag: Buffer;
}

/** What is compared of a call. */
export interface Outcome {
  readonly code: number;
  readonly text: string;
  readonly messages: number;
  readonly digest: string;
  readonly tag: string;
}

/** Largest message that both ends take in this test. */
export const CROSS_BYTES_MAX = 1024 * 1024;
export const DEADLINE_MS = 40;
const SIZES = [0, 1, 5, 100, 1_000, 16_379, 16_384, 65_535, 65_536, 300_000] as const;
const TEXTS = ['no such table', 'nötig: 100 %', '', 'line\nbreak', '%41', 'ключ'] as const;

/** Mulberry32: small, and good enough to choose test cases. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function randomCalls(
  seed: number,
  count: number,
  encodings: readonly Encoding[],
): RandomCall[] {
  const random = randomFrom(seed);
  const pick = <T>(from: readonly T[]): T => {
    const picked = from[Math.floor(random() * from.length)];
    if (picked === undefined) throw new Error('nothing to pick from');
    return picked;
  };
  const ending = (): Ending => {
    const chance = random();
    if (chance < 0.7) return 'answer';
    if (chance < 0.85) return 'error';
    if (chance < 0.9) return 'cancel';
    if (chance < 0.95) return 'silent';
    return chance < 0.98 ? 'deadline' : 'too-large';
  };
  return Array.from({ length: count }, (_, number) => {
    const kind = pick(KINDS);
    const isMany = kind === 'client-stream' || kind === 'bidi';
    const requests = isMany ? Math.floor(random() * 6) : 1;
    return {
      number,
      kind,
      encoding: pick(encodings),
      ending: ending(),
      sizes: Array.from({ length: requests }, () => pick(SIZES)),
      answers: Math.floor(random() * 5),
      code: 1 + Math.floor(random() * 16),
      text: pick(TEXTS),
      hasDeadline: random() < 0.5,
      tag: Buffer.from([number & 255, (number >>> 8) & 255, 0, 255]),
    };
  });
}

/** A message of this call; each begins differently, and none packs to nothing. */
export function messageOf(call: RandomCall, at: number): Buffer {
  const bytes = Buffer.alloc(call.sizes[at] ?? 0, `${call.number}/${at};`);
  if (bytes.length > 8) bytes.writeUInt32BE(Math.imul(call.number + 1, 0x9e3779b1) >>> 0, 0);
  return bytes;
}

export function digestOf(messages: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const message of messages) hash.update(`${message.length}:`).update(message);
  return hash.digest('hex').slice(0, 16);
}

/** What has to come out. Texts that a client makes itself are not compared. */
export function expectedOf(call: RandomCall): Outcome {
  const tag = call.tag.toString('hex');
  const none = { code: 0, text: '', messages: 0, digest: digestOf([]), tag: '' };
  switch (call.ending) {
    case 'cancel':
      return { ...none, code: 1 };
    case 'deadline':
    case 'silent':
      return { ...none, code: call.ending === 'deadline' ? 4 : 1 };
    case 'too-large':
      return { ...none, code: 8 };
    case 'error':
      return { ...none, code: call.code, text: call.text, tag };
    case 'answer': {
      const messages = answersOf(call);
      return { code: 0, text: '', messages: messages.length, digest: digestOf(messages), tag };
    }
  }
}

/** What the server says, if it says anything. */
export function answersOf(call: RandomCall): Buffer[] {
  const requests = call.sizes.map((_, at) => messageOf(call, at));
  switch (call.kind) {
    case 'unary':
    case 'bidi':
      return requests;
    case 'server-stream':
      return Array.from({ length: call.answers }, () => requests[0] ?? Buffer.alloc(0));
    case 'client-stream':
      return [Buffer.from(digestOf(requests))];
  }
}
