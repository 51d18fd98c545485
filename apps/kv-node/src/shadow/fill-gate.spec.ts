import { describe, expect, it } from 'vitest';
import { FillGate, GATE_LOOK_MS, GATE_WAIT_MS_MAX } from './fill-gate.js';

/** An engine that is behind until a moment, and a clock that only moves while somebody sleeps. */
function gateUntil(readyMs: number) {
  const state = { nowMs: 0, looks: 0, noted: 0 };
  const engine = {
    isBehind: () => {
      state.looks++;
      return state.nowMs < readyMs;
    },
  };
  const sleep = (delayMs: number) => {
    state.nowMs += delayMs;
    return Promise.resolve();
  };
  const gate = new FillGate({
    engine,
    runtime: { clock: { sleep }, noteBulk: () => void state.noted++ },
  });
  return { state, gate };
}

describe('the gate before a table that is filled', () => {
  it('lets a batch pass at once while the engine keeps up', async () => {
    const { state, gate } = gateUntil(0);
    await gate.pass();
    expect(state).toEqual({ nowMs: 0, looks: 1, noted: 1 });
  });

  it('holds a batch back until the engine has caught up', async () => {
    const { state, gate } = gateUntil(5 * GATE_LOOK_MS);
    await gate.pass();
    expect(state).toEqual({ nowMs: 5 * GATE_LOOK_MS, looks: 6, noted: 1 });
  });

  it('lets a batch pass that has waited long enough: a slow engine is no reason to give a table up', async () => {
    const { state, gate } = gateUntil(Infinity);
    await gate.pass();
    expect(state.nowMs).toBe(GATE_WAIT_MS_MAX);
  });
});
