/**
 * What waits for a node: bounded, in order, and never carried from one stream to the next.
 */
import { decodeFrame, type PeerFrame } from '@flotilla/raft';
import { describe, expect, it } from 'vitest';
import { FRAME_BYTES_MAX, FrameQueue, FRAMES_WAITING_MAX } from './frame-queue.js';
import { message } from './testing/test-node.js';

const BYTES_MAX = 1024 * 1024;

class Harness {
  readonly counters = { framesOut: 0, messagesOut: 0, bytesOut: 0, dropped: 0 };
  readonly queue: FrameQueue;
  private due: (() => void)[] = [];

  constructor(bytesMax = BYTES_MAX) {
    this.queue = new FrameQueue(bytesMax, (task) => this.due.push(task), this.counters);
    this.queue.begin();
  }

  endTurn(): void {
    for (const task of this.due.splice(0)) task();
  }

  send(index = 1, bytes = 10): boolean {
    return this.queue.message(7, message(2, 1, index, bytes));
  }
}

type Stream = AsyncGenerator<Uint8Array, void, undefined>;

async function next(stream: Stream): Promise<PeerFrame> {
  const { value } = await stream.next();
  if (!value) throw new Error('the stream has ended');
  return decodeFrame(value);
}

/** All that waits now, without waiting for more. */
async function drain({ queue }: Harness): Promise<PeerFrame[]> {
  const stop = new AbortController();
  const stream = queue.outgoing(stop.signal);
  const frames: PeerFrame[] = [];
  while (queue.waitingFrames > 0) frames.push(await next(stream));
  stop.abort();
  return frames;
}

const CALL = { id: 1, method: 'm', request: Buffer.alloc(10), hops: 0, timeoutMs: 5 };
const ANSWER = {
  id: 1,
  answer: Buffer.alloc(10),
  index: 0,
  code: 0,
  message: '',
  notExecuted: false,
};

describe('the queue of frames', () => {
  it('makes one frame of all that a turn has', async () => {
    const harness = new Harness();
    harness.send(1);
    harness.queue.beat(true);
    harness.queue.quiesce(3, 4, 5);
    harness.queue.call(CALL);
    harness.send(2);
    harness.queue.answer(ANSWER);
    expect(harness.queue.waitingFrames).toBe(0);
    harness.endTurn();
    const [frame, ...others] = await drain(harness);
    expect(others).toEqual([]);
    expect(frame?.messages.map((each) => each.message.index)).toEqual([1, 2]);
    expect(frame?.heartbeat).toEqual({ sequence: 1, draining: true });
    expect(frame?.quiesce).toEqual([{ group: 3, term: 4, index: 5 }]);
    expect([frame?.calls.length, frame?.answers.length]).toEqual([1, 1]);
    expect(harness.counters).toMatchObject({ framesOut: 1, messagesOut: 2, dropped: 0 });
  });

  it.each<[string, (harness: Harness) => boolean]>([
    ['messages', (harness) => harness.send()],
    ['large messages', (harness) => harness.send(1, 100_000)],
    ['calls', ({ queue }) => queue.call(CALL)],
    ['calls of long names', ({ queue }) => queue.call({ ...CALL, method: 'm'.repeat(300) })],
    ['answers', ({ queue }) => queue.answer(ANSWER)],
    ['long refusals', ({ queue }) => queue.answer({ ...ANSWER, message: 'é'.repeat(300) })],
    ['notes of groups that sleep', ({ queue }) => queue.quiesce(2 ** 53 - 1, 2 ** 53 - 1, 1)],
  ])('takes %s up to its bound of bytes in one turn, and refuses the rest', async (_, put) => {
    const harness = new Harness();
    let taken = 0;
    while (put(harness)) {
      expect(harness.queue.waitingBytes).toBeLessThanOrEqual(BYTES_MAX);
      if (++taken > BYTES_MAX) throw new Error('there is no bound');
    }
    expect(taken).toBeGreaterThan(8);
    harness.endTurn();
    // What was reckoned is not less than what it came to.
    expect(harness.queue.waitingBytes).toBeLessThanOrEqual(BYTES_MAX);
    await drain(harness);
    expect(harness.queue.waitingBytes).toBe(0);
    expect(put(harness)).toBe(true);
  });

  it('cuts a turn that has more than a frame may hold, in order', async () => {
    const harness = new Harness(4 * FRAME_BYTES_MAX);
    for (let index = 0; index < 12; index++) harness.send(index, 1024 * 1024);
    harness.endTurn();
    const frames = await drain(harness);
    expect(frames.length).toBeGreaterThan(1);
    const indexes = frames.flatMap(({ messages }) => messages.map((each) => each.message.index));
    expect(indexes).toEqual(Array.from({ length: 12 }, (_, at) => at));
  });

  it('holds no more than so many frames, however small', () => {
    const harness = new Harness(1024 * BYTES_MAX);
    for (let turn = 0; turn < FRAMES_WAITING_MAX + 10; turn++) {
      harness.send();
      harness.queue.quiesce(1, 1, 1);
      harness.queue.beat(false);
      harness.endTurn();
    }
    expect(harness.queue.waitingFrames).toBe(FRAMES_WAITING_MAX);
    expect(harness.counters.dropped).toBe(20);
  });

  it('never lets heartbeats wait for a stream that takes nothing', () => {
    const harness = new Harness();
    for (let turn = 0; turn < 100; turn++) {
      harness.queue.beat(false);
      harness.endTurn();
    }
    expect(harness.queue.waitingFrames).toBe(1);
  });

  it('takes nothing while there is no stream, and keeps nothing of one that has ended', () => {
    const harness = new Harness();
    harness.send();
    harness.endTurn();
    harness.send();
    harness.queue.quiesce(1, 1, 1);
    harness.queue.call(CALL);
    harness.queue.answer(ANSWER);
    harness.queue.beat(false);
    harness.queue.end();
    expect([harness.queue.waitingBytes, harness.queue.waitingFrames]).toEqual([0, 0]);
    expect(harness.send()).toBe(false);
    expect(harness.queue.call(CALL)).toBe(false);
    expect(harness.queue.answer(ANSWER)).toBe(false);
    expect(harness.queue.quiesce(1, 1, 1)).toBe(false);
    harness.queue.beat(false);
    harness.queue.begin();
    harness.endTurn();
    expect(harness.queue.waitingFrames).toBe(0);
    expect(harness.counters.dropped).toBe(2);
  });

  it('gives the frames of a stream to none that ended before', async () => {
    const harness = new Harness();
    const [first, second] = [new AbortController(), new AbortController()];
    const dead = harness.queue.outgoing(first.signal);
    // It waits for a frame when its connection dies.
    const waiting = dead.next();
    first.abort();
    harness.queue.end();
    harness.queue.begin();
    const living = harness.queue.outgoing(second.signal);
    const arriving = next(living);
    harness.send(5);
    harness.endTurn();
    expect((await arriving).messages[0]?.message.index).toBe(5);
    expect((await waiting).done).toBe(true);
    expect((await dead.next()).done).toBe(true);
  });

  it('ends a stream that has frames left as well', async () => {
    const harness = new Harness();
    const stop = new AbortController();
    const stream = harness.queue.outgoing(stop.signal);
    for (let turn = 0; turn < 2; turn++) {
      harness.send();
      harness.endTurn();
    }
    await next(stream);
    stop.abort();
    expect((await stream.next()).done).toBe(true);
    expect(harness.queue.waitingFrames).toBe(1);
  });
});
