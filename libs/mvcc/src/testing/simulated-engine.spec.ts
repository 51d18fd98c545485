import { describe, expect, it } from 'vitest';
import { engineCompliance } from './engine-compliance.js';
import { SimulatedEngine } from './simulated-engine.js';

engineCompliance('simulated', async () => ({ engine: new SimulatedEngine() }));

const key = (at: number): Buffer => Buffer.from(`k${at}`);

function written(count: number, engine = new SimulatedEngine()): SimulatedEngine {
  for (let at = 1; at <= count; at++) {
    engine.batch().put(key(at), Buffer.from('v')).put(Buffer.from('last'), key(at)).write();
  }
  return engine;
}

describe('a simulated engine after a crash', () => {
  it('holds some first part of what was written, and each batch as a whole', () => {
    for (let survive = 0; survive <= 5; survive++) {
      const left = written(5).crash(() => survive);
      expect(left.get(Buffer.from('last'))).toEqual(survive === 0 ? undefined : key(survive));
      for (let at = 1; at <= 5; at++) expect(left.get(key(at)) !== undefined).toBe(at <= survive);
    }
  });

  it('holds what was written before a sync began, and not surely what came while it ran', async () => {
    const engine = written(3);
    let open: () => void = () => undefined;
    engine.syncGate = () => new Promise((resolve) => (open = resolve));
    const syncing = engine.sync();
    engine.batch().put(key(4), Buffer.from('v')).write();
    open();
    await syncing;
    const left = engine.crash(() => 0);
    expect(left.get(key(3))).toBeDefined();
    expect(left.get(key(4))).toBeUndefined();
    expect(() => engine.get(key(1))).toThrow('closed');
  });

  it('of torn batches may hold one half', () => {
    const engine = new SimulatedEngine();
    engine.tears = (each) => each[0] === 'l'.charCodeAt(0);
    written(1, engine);
    const left = engine.crash(() => 1);
    expect(left.get(key(1))).toBeDefined();
    expect(left.get(Buffer.from('last'))).toBeUndefined();
  });
});
