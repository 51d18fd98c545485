import { describe, expect, it } from 'vitest';
import { Reads } from './reads.js';

const FAR = 1e9;

describe('reads', () => {
  /** Asks for a read; the returned list tells which reads have settled, and how. */
  function reader(reads: Reads) {
    const settled: string[] = [];
    const ask = (name: string, deadlineMs = FAR) =>
      void reads.ask(deadlineMs).then(
        () => settled.push(name),
        (error: { code: string }) => settled.push(`${name}: ${error.code}`),
      );
    return { settled, ask };
  }
  const settle = () => new Promise(setImmediate);

  it('a read never joins a round that started before it', async () => {
    const reads = new Reads(10, 1);
    const { settled, ask } = reader(reads);
    ask('early');
    const first = reads.startRound();
    ask('late');
    expect(reads.wantsRound).toBe(false);
    reads.confirmed(first, 5);
    reads.applied(5);
    await settle();
    expect(settled).toEqual(['early']);
    expect(reads.wantsRound).toBe(true);
    reads.confirmed(first, 5);
    reads.applied(5);
    await settle();
    expect(settled).toEqual(['early']);
    reads.confirmed(reads.startRound(), 6);
    reads.applied(6);
    await settle();
    expect(settled).toEqual(['early', 'late']);
  });

  it('an answer to a round that was asked again no longer counts', async () => {
    const reads = new Reads(10, 1);
    const { settled, ask } = reader(reads);
    ask('a');
    const lost = reads.startRound();
    const retried = reads.retryRound();
    reads.confirmed(lost, 3);
    reads.applied(9);
    await settle();
    expect(settled).toEqual([]);
    reads.confirmed(retried, 4);
    reads.applied(9);
    await settle();
    expect(settled).toEqual(['a']);
  });

  it('of several confirmed rounds each waits for its own index', async () => {
    const reads = new Reads(10, 1);
    const { settled, ask } = reader(reads);
    for (const [name, index] of [
      ['a', 5],
      ['b', 5],
      ['c', 8],
    ] as const) {
      ask(name);
      reads.confirmed(reads.startRound(), index);
    }
    reads.applied(4);
    await settle();
    expect(settled).toEqual([]);
    reads.applied(7);
    await settle();
    expect(settled).toEqual(['a', 'b']);
    reads.applied(8);
    await settle();
    expect(settled).toEqual(['a', 'b', 'c']);
  });

  it('a read whose deadline passed is told once in every state, and its place is free', async () => {
    const reads = new Reads(3, 1);
    const { settled, ask } = reader(reads);
    ask('applying', 10);
    reads.confirmed(reads.startRound(), 5);
    ask('confirming', 10);
    const round = reads.startRound();
    ask('asked', 10);
    expect(reads.isFull).toBe(true);
    reads.expire(9);
    expect(reads.isFull).toBe(true);
    reads.expire(10);
    expect(reads.isFull).toBe(false);
    reads.confirmed(round, 5);
    reads.applied(5);
    reads.failAll('closed', 'too late');
    await settle();
    expect(settled.sort()).toEqual(['applying: timeout', 'asked: timeout', 'confirming: timeout']);
  });
});
