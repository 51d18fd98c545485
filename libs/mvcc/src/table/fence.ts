/**
 * Whether a command of a follower cluster may still be applied.
 *
 * In: the fence that the command carries, and what the table has seen. Out: why it is refused, or
 * nothing, and then the table remembers the fence. It stands in the meta row, so every replica judges
 * alike and a snapshot carries it. A token must never go back, nor may one table hold two epochs.
 *
 *     no fence yet --> epoch and token taken --> same epoch, token as high or higher --> ...
 *
 * It also carries the check of the entry that the copy stands at then, by which a leader cluster of another
 * history is found out. Whatever moves the copy on without one leaves it without one.
 */
import { type mvccV1 } from '@flotilla/proto';
import { safeNumber } from './command-decoder.js';
import { type Meta } from './meta-row.js';
import { type FenceRefusal } from './table-types.js';

export function passFence(meta: Meta, wire: mvccV1.Fence): FenceRefusal | undefined {
  const epoch = safeNumber(wire.epoch);
  const token = safeNumber(wire.token);
  const { fence } = meta;
  if (fence !== undefined && epoch !== fence.epoch) return 'epoch';
  if (fence !== undefined && token < fence.token) return 'token';
  if (token !== fence?.token) meta.fence = { epoch, token };
  return undefined;
}

/** After a command was applied to a copy that stood at `before`. */
export function keepCheck(meta: Meta, before: number, check: bigint | undefined): void {
  if (meta.leaderIndex !== before) meta.leaderCheck = check;
}
