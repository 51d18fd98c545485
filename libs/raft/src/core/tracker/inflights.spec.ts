import { describe, expect, it } from 'vitest';
import { RaftInvariantError } from '../errors.js';
import { Inflights } from './inflights.js';

function filled(messagesMax: number, bytesMax: number, ...messages: [number, number][]): Inflights {
  const window = new Inflights(messagesMax, bytesMax);
  for (const [index, bytes] of messages) window.add(index, bytes);
  return window;
}

describe('the window of appends', () => {
  it('is full at its number of messages and refuses one more', () => {
    const window = filled(2, 0, [1, 10], [2, 10]);
    expect([window.full(), window.count()]).toEqual([true, 2]);
    expect(() => window.add(3, 1)).toThrow(RaftInvariantError);
    expect(window.count()).toBe(2);
  });

  it('is full at its number of bytes, and one message may exceed it', () => {
    expect(filled(10, 20, [1, 19]).full()).toBe(false);
    expect(filled(10, 20, [1, 19], [2, 1]).full()).toBe(true);
    expect(filled(10, 20, [1, 500]).full()).toBe(true);
  });

  it('frees what was acknowledged and nothing after it', () => {
    const window = filled(10, 0, [2, 1], [4, 1], [6, 1], [8, 1]);
    window.freeLE(1);
    expect(window.count()).toBe(4);
    window.freeLE(5);
    expect(window.count()).toBe(2);
    window.freeLE(8);
    expect(window.count()).toBe(0);
    window.freeLE(8);
    expect(window.count()).toBe(0);
  });

  it('gives the bytes of freed messages back', () => {
    const window = filled(10, 20, [1, 15], [2, 5]);
    window.freeLE(1);
    expect(window.full()).toBe(false);
    window.add(3, 15);
    expect(window.full()).toBe(true);
  });

  it('keeps its order when it grows while it has wrapped around', () => {
    const window = filled(100, 0);
    for (let index = 1; index <= 8; index++) window.add(index, 0);
    window.freeLE(5);
    for (let index = 9; index <= 30; index++) window.add(index, 0);
    expect(window.count()).toBe(25);
    window.freeLE(10);
    expect(window.count()).toBe(20);
    window.freeLE(29);
    expect(window.count()).toBe(1);
  });

  it('is empty after a reset, bytes included', () => {
    const window = filled(3, 20, [1, 20]);
    window.reset();
    expect([window.full(), window.count()]).toEqual([false, 0]);
    window.add(1, 5);
    expect([window.full(), window.count()]).toEqual([false, 1]);
  });

  it('has clones that do not share anything', () => {
    const window = filled(2, 0, [1, 1]);
    const copy = window.clone();
    window.add(2, 1);
    expect([copy.count(), copy.full()]).toEqual([1, false]);
    copy.freeLE(1);
    expect(window.count()).toBe(2);
  });
});
