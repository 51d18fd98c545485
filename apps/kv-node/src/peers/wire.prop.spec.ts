/**
 * The hand-written codec of frames against the one that is generated from peer.proto.
 */
import { peerV1 } from '@flotilla/proto';
import { decodeFrame, encodeFrame, messageFrameBytes, type PeerFrame } from '@flotilla/raft';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const number = fc.oneof(
  fc.nat(300),
  fc.nat(),
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(0, 127, 128, 16_383, 16_384, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER),
);
const bytes = fc.uint8Array({ maxLength: 200 }).map((data) => Buffer.from(data));
const ids = fc.array(number, { maxLength: 5 });
const text = fc.string({ maxLength: 30 });

const entry = fc.record({
  type: fc.constantFrom(0, 1, 2),
  term: number,
  index: number,
  data: bytes,
});
const confState = fc.record({
  voters: ids,
  learners: ids,
  votersOutgoing: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
const message = fc.record({
  type: fc.nat(23),
  to: number,
  from: number,
  term: number,
  logTerm: number,
  index: number,
  entries: fc.array(entry, { maxLength: 4 }),
  commit: number,
  vote: number,
  snapshot: fc.option(
    fc
      .record({ index: number, term: number, confState })
      .map((metadata) => ({ data: Buffer.alloc(0), metadata })),
    { nil: undefined },
  ),
  reject: fc.boolean(),
  rejectHint: number,
  context: fc.option(bytes, { nil: undefined }),
  responses: fc.constant([]),
});
const frame = fc.record({
  messages: fc.array(fc.record({ group: number, message }), { maxLength: 4 }),
  heartbeat: fc.option(fc.record({ sequence: number, draining: fc.boolean() }), { nil: undefined }),
  quiesce: fc.array(fc.record({ group: number, term: number, index: number }), { maxLength: 3 }),
  calls: fc.array(
    fc.record({ id: number, method: text, request: bytes, hops: fc.nat(5), timeoutMs: number }),
    { maxLength: 3 },
  ),
  answers: fc.array(
    fc.record({
      id: number,
      answer: bytes,
      index: number,
      code: fc.nat(16),
      message: text,
      notExecuted: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
}) as fc.Arbitrary<PeerFrame>;

/** The same frame as the generated types have it. */
function generated(from: PeerFrame): peerV1.Frame {
  return {
    messages: from.messages.map(({ group, message: each }) => ({
      group: BigInt(group),
      message: {
        ...each,
        to: BigInt(each.to),
        from: BigInt(each.from),
        term: BigInt(each.term),
        logTerm: BigInt(each.logTerm),
        index: BigInt(each.index),
        commit: BigInt(each.commit),
        vote: BigInt(each.vote),
        rejectHint: BigInt(each.rejectHint),
        context: each.context && Buffer.from(each.context),
        entries: each.entries.map(({ type, term, index, data }) => ({
          type,
          term: BigInt(term),
          index: BigInt(index),
          data: Buffer.from(data),
        })),
        snapshot: each.snapshot && {
          index: BigInt(each.snapshot.metadata.index),
          term: BigInt(each.snapshot.metadata.term),
          confState: {
            voters: each.snapshot.metadata.confState.voters.map(BigInt),
            learners: each.snapshot.metadata.confState.learners.map(BigInt),
            votersOutgoing: each.snapshot.metadata.confState.votersOutgoing.map(BigInt),
            learnersNext: each.snapshot.metadata.confState.learnersNext.map(BigInt),
            autoLeave: each.snapshot.metadata.confState.autoLeave,
          },
        },
      },
    })),
    heartbeat: from.heartbeat && {
      sequence: BigInt(from.heartbeat.sequence),
      draining: from.heartbeat.draining,
    },
    quiesce: from.quiesce.map(({ group, term, index }) => ({
      group: BigInt(group),
      term: BigInt(term),
      index: BigInt(index),
    })),
    calls: from.calls.map((call) => ({
      ...call,
      id: BigInt(call.id),
      request: Buffer.from(call.request),
      timeoutMs: BigInt(call.timeoutMs),
    })),
    answers: from.answers.map((answer) => ({
      ...answer,
      id: BigInt(answer.id),
      index: BigInt(answer.index),
      answer: Buffer.from(answer.answer),
    })),
  };
}

/** Views and buffers compare alike. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each: unknown) =>
      each instanceof Uint8Array ? { hex: Buffer.from(each).toString('hex') } : each,
    ),
  ) as unknown;
}

function plainFrame(value: PeerFrame): unknown {
  // JSON asks Buffers for their own form first: they are made plain views before.
  const asViews = (each: unknown): unknown => {
    if (each instanceof Uint8Array) return { hex: Buffer.from(each).toString('hex') };
    if (Array.isArray(each)) return each.map(asViews);
    if (typeof each !== 'object' || each === null) return each;
    return Object.fromEntries(Object.entries(each).map(([key, inner]) => [key, asViews(inner)]));
  };
  return plain(asViews(value));
}

describe('frames between nodes', () => {
  it('are what the protocol file says, both ways', () => {
    fc.assert(
      fc.property(frame, (given) => {
        const encoded = encodeFrame(given);
        const reference = Buffer.from(peerV1.Frame.encode(generated(given)).finish());
        const decoded = peerV1.Frame.decode(encoded);
        expect(Buffer.from(peerV1.Frame.encode(decoded).finish())).toEqual(reference);
        expect(plainFrame(decodeFrame(reference))).toEqual(plainFrame(given));
        expect(plainFrame(decodeFrame(encoded))).toEqual(plainFrame(given));
      }),
      { numRuns: 300 },
    );
  });

  it('are never larger than what was reckoned for their messages', () => {
    fc.assert(
      fc.property(frame, ({ messages }) => {
        const none = { heartbeat: undefined, quiesce: [], calls: [], answers: [] };
        const reckoned = messages.reduce((sum, each) => sum + messageFrameBytes(each.message), 0);
        expect(encodeFrame({ messages, ...none }).length).toBeLessThanOrEqual(reckoned);
      }),
    );
  });

  it('that are cut or scrambled are refused with a wire error, or are another frame; nothing else', () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.nat(255), (given, where, byte) => {
        const encoded = Buffer.from(encodeFrame(given));
        if (encoded.length === 0) return;
        encoded[where % encoded.length] = byte;
        for (const broken of [encoded, encoded.subarray(0, where % encoded.length)]) {
          try {
            decodeFrame(broken);
          } catch (error) {
            expect((error as Error).name).toBe('WireError');
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('may hold fields of a newer version, which are passed over', () => {
    const known = encodeFrame({
      messages: [],
      heartbeat: { sequence: 5, draining: true },
      quiesce: [],
      calls: [],
      answers: [],
    });
    const unknown = Buffer.from([0xf8, 0x07, 0x2a, 0xfa, 0x07, 0x02, 0x01, 0x02]);
    expect(decodeFrame(Buffer.concat([unknown, known, unknown])).heartbeat).toEqual({
      sequence: 5,
      draining: true,
    });
  });

  it('do not hold numbers that this program cannot count to', () => {
    const beyond = peerV1.Frame.encode(
      peerV1.Frame.fromPartial({ heartbeat: { sequence: 2n ** 53n } }),
    ).finish();
    expect(() => decodeFrame(beyond)).toThrow('above 2^53');
  });
});
