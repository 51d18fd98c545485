/** What a puller does next, event by event. */
import { describe, expect, it } from 'vitest';
import { PullerMachine } from './puller-machine.js';

const POLL_MS = 1_024;

function located(index: number): PullerMachine {
  const machine = new PullerMachine(POLL_MS);
  machine.located({ index });
  return machine;
}

/** Pause after so many polls without a command. */
function pauseAfter(machine: PullerMachine, polls: number): number {
  let delayMs = 0;
  for (let poll = 0; poll < polls; poll++) {
    machine.polled();
    const step = machine.next();
    if (step.kind === 'wait') ({ delayMs } = step);
    machine.waited();
  }
  return delayMs;
}

describe('a puller', () => {
  it('asks where the copy stands before it pulls the first entry after that', () => {
    const machine = new PullerMachine(POLL_MS);
    expect(machine.next()).toEqual({ kind: 'locate' });
    machine.located({ index: 0 });
    expect(machine.next()).toEqual({ kind: 'pull', from: 1 });
    machine.applied({ index: 7 });
    expect(machine.next()).toEqual({ kind: 'pull', from: 8 });
  });

  it('says which entry the copy has before the one it pulls, as the copy has said it', () => {
    const machine = located(7);
    expect(machine.next()).toEqual({ kind: 'pull', from: 8, previousCheck: undefined });
    machine.applied({ index: 9, check: 99n });
    expect(machine.next()).toEqual({ kind: 'pull', from: 10, previousCheck: 99n });
    expect([machine.copyIndex, machine.copyCheck]).toEqual([9, 99n]);
  });

  it('is over once the copy is known to be of another history, and says so', () => {
    const machine = located(7);
    machine.diverged();
    machine.needsSnapshot();
    expect(machine.next()).toEqual({ kind: 'end', reason: 'diverged' });
  });

  it('asks again before anything else when it is in doubt whether a batch was applied', () => {
    for (const failure of ['copy-in-doubt', 'copy-refused'] as const) {
      const machine = located(7);
      machine.failed(failure);
      expect(machine.next().kind).toBe('wait');
      expect(machine.copyIndex).toBeUndefined();
      machine.waited();
      expect(machine.next()).toEqual({ kind: 'locate' });
    }
  });

  it('goes on from its position when only the leader cluster failed', () => {
    for (const failure of ['leader-unavailable', 'log-garbled', 'leader-behind'] as const) {
      const machine = located(7);
      machine.failed(failure);
      machine.waited();
      expect(machine.next()).toEqual({ kind: 'pull', from: 8 });
    }
  });

  it('polls a table in use often, an idle one at the interval and no more', () => {
    const machine = located(0);
    expect(pauseAfter(machine, 1)).toBe(POLL_MS / 256);
    expect(pauseAfter(machine, 20)).toBe(POLL_MS / 16);
    expect(pauseAfter(machine, 1_000)).toBe(POLL_MS);
    machine.applied({ index: 1 });
    expect(pauseAfter(machine, 1)).toBe(POLL_MS / 256);
  });

  it('waits longer each time it fails, up to a bound, and from the beginning once it worked', () => {
    const machine = located(0);
    const pauses = Array.from({ length: 12 }, () => {
      machine.failed('leader-unavailable');
      const step = machine.next();
      return step.kind === 'wait' ? step.delayMs : 0;
    });
    expect(pauses.slice(0, 3)).toEqual([100, 200, 400]);
    expect(pauses.at(-1)).toBe(2_000);
    machine.polled();
    machine.failed('leader-unavailable');
    expect(machine.next()).toEqual({ kind: 'wait', delayMs: 100 });
  });

  it('asks rarely for what does not heal soon', () => {
    const machine = located(0);
    machine.failed('leader-behind');
    expect(machine.next()).toEqual({ kind: 'wait', delayMs: 10_000 });
    expect(machine.state).toBe('leader-behind');
    machine.failed('table-missing');
    expect(machine.state).toBe('missing-in-leader');
  });

  it('once it is over stays over, for the first reason', () => {
    const machine = located(0);
    machine.needsSnapshot();
    machine.over('stopped');
    machine.applied({ index: 9 });
    expect(machine.next()).toEqual({ kind: 'end', reason: 'use-snapshot' });
  });

  it('says what it does', () => {
    const machine = new PullerMachine(POLL_MS);
    expect(machine.state).toBe('locating');
    machine.located({ index: 0 });
    expect(machine.state).toBe('pulling');
    machine.polled();
    expect(machine.state).toBe('waiting');
    machine.failed('leader-unavailable');
    expect(machine.state).toBe('failing');
    machine.polled();
    machine.waited();
    expect(machine.state).toBe('pulling');
  });
});
