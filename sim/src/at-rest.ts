/**
 * What must be true once nothing goes wrong any more.
 *
 *   every node is up and heard of --> every change of members and of placement comes to its end -->
 *   every table takes a write and a linearizable read through every node --> all replicas hold what
 *   was committed, and nothing that was acknowledged is missing
 */
import { createHash } from 'node:crypto';
import { type TableStateMachine } from '@flotilla/mvcc';
import { REST_MAX_MS, type Simulation } from './simulation.js';
import { SimClient } from './sim-client.js';

const PROOF_CLIENT = 0;
const PAUSE_MS = 500;

export async function judgeAtRest(sim: Simulation): Promise<void> {
  const progress = await eventually(sim, async () => {
    await sim.faults.finishChanges();
    return whatIsUndone(sim);
  });
  if (progress !== undefined) {
    describeGroups(sim);
    return sim.fail('progress', progress);
  }
  const client = new SimClient(PROOF_CLIENT, clientWorld(sim), 1);
  for (const table of tablesNow(sim)) {
    for (const node of sim.members()) {
      const proved = await eventually(sim, async () =>
        isGone(sim, table) || (await client.proves(table, node))
          ? undefined
          : `table ${table} at node ${node.id}`,
      );
      if (proved === undefined) continue;
      describeGroups(sim);
      return sim.fail('progress', `no write and read: ${proved}`);
    }
  }
  const held = await eventually(sim, () => whatIsBehind(sim));
  if (held !== undefined) return sim.fail('replicas', held);
  for (const node of sim.members()) compareStates(sim, node.id);
}

/** For whoever looks why nothing goes on. */
function describeGroups(sim: Simulation): void {
  for (const node of sim.members()) {
    if (!node.core) continue;
    const { catalog, tables } = node.core.cluster;
    for (const { id, state } of catalog.state.nodes.values()) {
      sim.note(`node ${node.id} sees node ${id}: ${state}`);
    }
    for (const { id, name, replicas, movingFrom } of catalog.state.tables.values()) {
      const group = tables.get(id)?.group;
      const here = group && {
        ...group.status(),
        isAsleep: group.isAsleep,
        confState: group.confState(),
        progress: [...group.progress()],
      };
      const row = JSON.stringify({ id, name, replicas, movingFrom });
      sim.note(`node ${node.id} table ${row}: ${JSON.stringify(here)}`);
    }
    const { confState, ...status } = {
      ...catalog.group.status(),
      confState: catalog.group.confState(),
    };
    sim.note(`node ${node.id} catalog ${JSON.stringify({ ...status, confState })}`);
  }
}

/** Asks until there is nothing left to say, or too much time has passed. */
async function eventually(
  sim: Simulation,
  look: () => string | undefined | Promise<string | undefined>,
): Promise<string | undefined> {
  const endMs = sim.world.nowMs + REST_MAX_MS;
  for (;;) {
    const left = await look();
    if (left === undefined || sim.judge.violation || sim.world.nowMs > endMs) return left;
    await sim.sleep(PAUSE_MS);
  }
}

function whatIsUndone(sim: Simulation): string | undefined {
  for (const node of sim.members()) {
    const { core, id } = node;
    if (!core) return `node ${id} is ${node.state}`;
    const { catalog } = core.cluster;
    if (catalog.group.status().leader === 0) return `node ${id} knows no leader of the catalog`;
    for (const { id: other, state } of catalog.state.nodes.values()) {
      if (state === 'leaving' || state === 'joining') {
        return `node ${other} is still ${state}, as node ${id} sees it`;
      }
    }
    for (const { name, movingFrom, replicas } of catalog.state.tables.values()) {
      if (movingFrom.length > 0) return `table ${name} moves from ${movingFrom.join()}`;
      const out = replicas.filter((each) => sim.nodes.get(each)?.state === 'out');
      if (out.length > 0) return `table ${name} has replicas on ${out.join()}, which is out`;
    }
  }
  return undefined;
}

/** Replicas that have not applied all that was committed. */
function whatIsBehind(sim: Simulation): string | undefined {
  for (const node of sim.members()) {
    if (!node.core) return `node ${node.id} is ${node.state}`;
    for (const { id, machine } of machinesOf(sim, node.id)) {
      const { appliedIndex } = machine.state;
      const committed = sim.judge.table(id).appliedIndex;
      if (appliedIndex < committed) {
        return `node ${node.id} holds group ${id} up to ${appliedIndex} of ${committed}`;
      }
    }
  }
  return undefined;
}

function compareStates(sim: Simulation, nodeId: number): void {
  for (const { id, machine } of machinesOf(sim, nodeId)) {
    const { copy } = sim.judge.table(id);
    if (hashOf(machine) !== hashOf(copy)) {
      sim.fail('replicas', `node ${nodeId} holds other rows of group ${id} than were committed`);
    }
  }
}

function machinesOf(sim: Simulation, nodeId: number): { id: number; machine: TableStateMachine }[] {
  const core = sim.nodes.get(nodeId)?.core;
  if (!core) return [];
  const { catalog, tables } = core.cluster;
  const own = { id: catalog.group.id, machine: catalog.machine };
  return [own, ...tables.all()];
}

function hashOf(machine: TableStateMachine): string {
  const hasher = createHash('sha256');
  const { revision, rows } = machine.hash(hasher);
  return `${revision}/${rows}/${hasher.digest('hex')}`;
}

function tablesNow(sim: Simulation): string[] {
  const core = sim.up()[0]?.core;
  return [...(core?.cluster.catalog.state.tables.keys() ?? [])];
}

/** A deletion that was asked for before all was calm may be made after it. */
function isGone(sim: Simulation, table: string): boolean {
  return !sim.stableTables.includes(table) && !tablesNow(sim).includes(table);
}

function clientWorld(sim: Simulation) {
  return {
    world: sim.world,
    random: sim.random,
    judge: sim.judge,
    nodes: () => sim.members(),
    tables: () => ({ stable: sim.stableTables, all: sim.stableTables }),
    goesOn: () => true,
    quietMs: () => 0,
  };
}
