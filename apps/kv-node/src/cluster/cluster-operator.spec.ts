/**
 * What the operator makes of a plan: changes of the rows that the plan was made from, and no others.
 */
import { type Logger } from '@flotilla/platform';
import { type flotillaV1 } from '@flotilla/proto';
import { beforeEach, describe, expect, it } from 'vitest';
import { encodeNode, encodeRow, newRow, nodeKey, tableKey } from '../catalog/catalog-rows.js';
import { type Catalog } from '../catalog/catalog.service.js';
import { CatalogState, NODE_STATES, type NodeState } from '../catalog/catalog-state.js';
import { SYSTEM_CLOCK } from '../node/node-clock.js';
import { ClusterOperator, MOVES_IN_FLIGHT_MAX } from './cluster-operator.js';
import { ClusterView } from './cluster-view.js';

const FIRST = 10_001;
const logger = { info: () => undefined } as unknown as Logger;

describe('the operator', () => {
  let state: CatalogState;
  let dead: Set<number>;
  let beforeReplace: (key: Buffer) => void;
  let written: string[];
  let operator: ClusterOperator;

  const setNode = (id: number, nodeState: NodeState) =>
    state.set(
      nodeKey(id),
      encodeNode({
        id: BigInt(id),
        name: `node-${id}`,
        raftAddress: `host${id}:5012`,
        clientUrl: '',
        identity: `identity-${id}`,
        state: NODE_STATES.indexOf(nodeState) as flotillaV1.NodeRow_State,
        replaces: 0n,
      }),
    );
  const setTable = (id: number, replicas: number[], fields: { preferredLeader?: number } = {}) =>
    state.set(
      tableKey(`t${id}`),
      encodeRow(newRow(`t${id}`, BigInt(id), replicas, fields.preferredLeader ?? 1)),
    );

  beforeEach(() => {
    state = new CatalogState();
    state.clusterId = 'cluster';
    dead = new Set();
    written = [];
    beforeReplace = () => undefined;
    for (const id of [1, 2, 3, 4]) setNode(id, 'active');
  });

  /** After the rows are set. */
  function start(): void {
    const voters = [1, 2, 3, 4];
    const catalog = {
      state,
      appliedIndex: 1,
      deadline: (ms: number) => ms,
      group: {
        isLeader: true,
        confState: () => ({ voters, learners: [], votersOutgoing: [], learnersNext: [] }),
        progress: () => new Map(),
        status: () => ({ lastIndex: 1 }),
      },
      replace: async (key: Buffer, stored: Buffer | undefined, value: Buffer) => {
        beforeReplace(key);
        const name = key.toString().slice('table/'.length);
        const now = state.tables.get(name);
        if (!now || !stored?.equals(now.stored)) return false;
        written.push(name);
        view.follow([state.set(key, value) ?? { kind: 'system' }]);
        return true;
      },
    } as unknown as Catalog;
    const view = new ClusterView(state, { isAlive: (id) => !dead.has(id) });
    operator = new ClusterOperator(catalog, view, 1, 3, logger, SYSTEM_CLOCK);
  }

  it('leaves a table alone that changed after the plan was made', async () => {
    for (let at = 0; at < 3; at++) setTable(FIRST + at, [1, 2, 3]);
    setNode(3, 'drained');
    start();
    beforeReplace = () => {
      beforeReplace = () => undefined;
      setTable(FIRST + 1, [1, 2, 3], { preferredLeader: 2 });
    };
    await operator.step();
    expect(written).toEqual([`t${FIRST}`, `t${FIRST + 2}`]);
    const [moved, changed] = [state.tablesById.get(FIRST), state.tablesById.get(FIRST + 1)];
    expect(moved).toMatchObject({ replicas: [1, 2, 4], movingFrom: [1, 2, 3] });
    expect(changed).toMatchObject({ replicas: [1, 2, 3], movingFrom: [], preferredLeader: 2 });
  });

  it('says all moves that are still to come while others are being made', async () => {
    const tables = MOVES_IN_FLIGHT_MAX + 6;
    for (let at = 0; at < tables; at++) setTable(FIRST + at, [1, 2, 3]);
    setNode(3, 'drained');
    start();
    const isMove = ({ reason }: { reason: string }) => reason === 'drained';
    expect(operator.plan().filter(isMove)).toHaveLength(tables);
    await operator.step();
    expect(state.moving.size).toBe(MOVES_IN_FLIGHT_MAX);
    expect(operator.plan().filter(isMove)).toHaveLength(tables - MOVES_IN_FLIGHT_MAX);
  });

  it('takes tables back from a node that died while they moved to it, once it is removed', async () => {
    for (let at = 0; at < 3; at++) setTable(FIRST + at, [1, 2, 3]);
    setNode(3, 'drained');
    start();
    await operator.step();
    dead.add(4);
    setNode(3, 'active');
    await operator.step();
    for (const { replicas } of state.tables.values()) expect(replicas).toEqual([1, 2, 4]);
    setNode(4, 'leaving');
    await operator.step();
    for (const { replicas, movingFrom } of state.tables.values()) {
      expect(replicas).toEqual([1, 2, 3]);
      expect([...movingFrom].sort()).toEqual([1, 2, 3, 4]);
    }
  });
});
