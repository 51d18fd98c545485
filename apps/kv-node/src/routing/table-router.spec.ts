/**
 * Calls that are passed on while nodes do not agree on who is to answer.
 */
import { describe, expect, it } from 'vitest';
import { newRow, encodeRow, tableKey } from '../catalog/catalog-rows.js';
import { CatalogState } from '../catalog/catalog-state.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { wasNotExecuted } from '../peers/not-executed.js';
import { type PeerNetwork } from '../peers/peer-network.js';
import { type TableRegistry } from '../tables/table-registry.js';
import { type Forwarder, HOPS_MAX } from './forwarder.js';
import { type RoutedCall, TableRouter } from './table-router.js';

const SLEEPS_MAX = 100;

/** A node that holds nothing of the table `t`, whose replica is at node 2, and has all the time there is. */
function router(passed: number[]): TableRouter {
  const state = new CatalogState();
  state.set(tableKey('t'), encodeRow(newRow('t', 10_001n, [2], 2)));
  let sleeps = 0;
  const sleep = (): Promise<void> => {
    sleeps += 1;
    return sleeps > SLEEPS_MAX ? Promise.reject(new Error('waits for ever')) : Promise.resolve();
  };
  const runtime = { host: { nodeId: 1 }, remainingMs: () => Infinity, clock: { sleep } };
  const registry = { find: () => undefined, get: () => undefined };
  const network = { isAlive: () => true, isDraining: () => false };
  const forwarder = {
    call: (node: number) => {
      passed.push(node);
      return Promise.resolve({ answer: Buffer.from('there'), index: 0 });
    },
  };
  return new TableRouter(
    runtime as unknown as NodeRuntime,
    { state } as unknown as Catalog,
    registry as unknown as TableRegistry,
    network as unknown as PeerNetwork,
    forwarder as unknown as Forwarder,
  );
}

const callWith = (hops: number): RoutedCall => ({
  ...{ table: Buffer.from('t'), method: 'm', request: Buffer.alloc(0), hops, deadlineMs: 0 },
});
const never = (): never => {
  throw new Error('there is no replica here');
};

describe('a call that was passed on as often as may be', () => {
  it('goes back to who passed it on, as one that was not executed, long before its deadline', async () => {
    const passed: number[] = [];
    const write = router(passed).write(callWith(HOPS_MAX), never);
    const error: unknown = await write.catch((thrown: unknown) => thrown);
    expect(wasNotExecuted(error)).toBe(true);
    const read = router(passed).read(callWith(HOPS_MAX), never);
    expect(wasNotExecuted(await read.catch((thrown: unknown) => thrown))).toBe(true);
    expect(passed).toEqual([]);
    const { answer } = await router(passed).write(callWith(HOPS_MAX - 1), never);
    expect(answer.toString()).toBe('there');
    expect(passed).toEqual([2]);
  });
});
