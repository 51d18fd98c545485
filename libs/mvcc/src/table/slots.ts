/**
 * The two places that the rows of a table can lie in, so that a whole new state can be gathered while
 * the old one serves, and take its place in one small batch.
 *
 *   active row   [slot][note]   which slot is in use, and what its state began as; absent: slot 0
 *   staged row   [note]         the other slot holds a whole state
 *   staging row  [progress]     the other slot holds that much of one (`table-stage.ts`)
 */
import { type Engine } from '../engine/engine.js';
import { Keyspace, otherSlot, tableIdOf, type Slot } from './keyspace.js';
import { damaged } from './varint.js';

const FIRST_KEY = Buffer.alloc(1);
/** Behind every key of a table: ids are 32-bit. */
const END_KEY = Buffer.alloc(6, 0xff);

/** The slot in use. */
export function activeKeyspace(engine: Engine, tableId: number): Keyspace {
  const first = new Keyspace(tableId, 0);
  const active = engine.get(first.activeKey);
  return active === undefined ? first : new Keyspace(tableId, slotOf(active));
}

/** Removes everything from the slot that is not in use; what is said of it goes first. */
export function clearInactive(engine: Engine, active: Keyspace, tableId: number): void {
  engine.batch().del(active.stagedKey).del(active.stagingKey).write();
  engine.deleteRange(new Keyspace(tableId, otherSlot(active.slot)).everything());
}

/** Ids of all tables that any row lies in the engine of, ascending. One read for each. */
export function listTableIds(engine: Engine): number[] {
  const ids: number[] = [];
  let from: Buffer | undefined = FIRST_KEY;
  while (from) {
    const iterator = engine.iterator({ gte: from, lt: END_KEY, content: 'keys' });
    const [key] = iterator.read(1).items;
    iterator.close();
    if (key === undefined) break;
    const id = tableIdOf(key);
    ids.push(id);
    from = nextTable(id);
  }
  return ids;
}

function nextTable(id: number): Buffer | undefined {
  if (id === 0xffffffff) return undefined;
  const key = Buffer.alloc(4);
  key.writeUInt32BE(id + 1, 0);
  return key;
}

function slotOf(active: Buffer): Slot {
  const slot = active[0];
  if (slot !== 0 && slot !== 1) throw damaged('a table is said to lie in a slot that is not there');
  return slot;
}
