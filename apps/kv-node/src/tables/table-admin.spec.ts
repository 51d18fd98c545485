import { GrpcStatusError, status } from '@flotilla/grpc';
import { HostError, HostErrorCode } from '@flotilla/raft';
import { describe, expect, it } from 'vitest';
import { type Catalog } from '../catalog/catalog.service.js';
import { CatalogState } from '../catalog/catalog-state.js';
import {
  createCommand,
  encodeRow,
  newRow,
  nextTableId,
  tableKey,
} from '../catalog/catalog-rows.js';
import { type ClusterView } from '../cluster/cluster-view.js';
import { toStatus } from '../kv/errors.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { NOT_EXECUTED, wasNotExecuted } from '../peers/not-executed.js';
import { type TableRegistry } from './table-registry.js';
import { TableAdmin, type OtherNodes } from './table-admin.js';

const SELF = 1;

/** An admin at the catalog's leader; the one node that can hold tables is another. */
function adminWith(awaitTable: OtherNodes['awaitTable'], isHere: boolean) {
  const state = new CatalogState();
  const holder = isHere ? SELF : 2;
  const row = newRow('t', nextTableId(undefined), [holder], holder);
  const catalog = {
    state,
    group: { leaderKnown: () => Promise.resolve(SELF) },
    barrier: () => Promise.resolve(),
    propose: () => {
      const { createdBy } = createCommand(row, undefined);
      state.set(tableKey('t'), encodeRow(row));
      return Promise.resolve({ succeeded: createdBy, index: 5 });
    },
  };
  const nodes = [{ id: holder, state: 'active', alive: true }];
  const load = { replicasOf: () => 0, leadersOf: () => 0 };
  const late = new HostError(HostErrorCode.NotReady, 'request dropped as the shard is not ready');
  const group = { leaderKnown: () => Promise.reject(late) };
  const runtime = {
    host: { nodeId: SELF },
    deadline: () => 0,
    remainingMs: () => 0,
    clock: { sleep: () => Promise.resolve() },
  };
  const others = { living: () => [], awaitTable } as unknown as OtherNodes;
  return new TableAdmin(
    runtime as unknown as NodeRuntime,
    catalog as unknown as Catalog,
    { get: () => (isHere ? { group } : undefined) } as unknown as TableRegistry,
    { placementNodes: () => nodes, load } as unknown as ClusterView,
    others,
    3,
  );
}

describe('a table that was created', () => {
  it.each([
    ['here', true],
    ['elsewhere', false],
  ])('but has no leader in time %s: nobody is told that nothing was done', async (_, isHere) => {
    const text = 'request dropped as the shard is not ready';
    const refusal = new GrpcStatusError(status.UNAVAILABLE, text, { [NOT_EXECUTED]: '1' });
    const admin = adminWith(() => Promise.reject(refusal), isHere);
    const error = await admin.create('t').then(
      () => undefined,
      (thrown: unknown) => toStatus(thrown),
    );
    expect(error).toBeInstanceOf(GrpcStatusError);
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    expect(wasNotExecuted(error)).toBe(false);
  });
});
