/**
 * The in-memory adapter under the compliance suite, and its tree against a plain map.
 */
import { expect, it } from 'vitest';
import { engineCompliance } from '../../testing/engine-compliance.js';
import { openMemoryEngine } from './memory-engine.js';
import { type Tree, treeDelete, treeGet, treePut, treeRange } from './persistent-tree.js';

engineCompliance('memory', async () => ({ engine: openMemoryEngine() }));

it('the tree stays balanced and equals a sorted map under 20,000 ordered puts and deletes', () => {
  let tree: Tree = undefined;
  const keys = Array.from({ length: 20_000 }, (_, at) => Buffer.from(String(at).padStart(6, '0')));
  for (const key of keys) tree = treePut(tree, key, key);
  expect(tree?.height).toBeLessThanOrEqual(18);
  const whole = tree;
  for (const [at, key] of keys.entries()) if (at % 3 !== 0) tree = treeDelete(tree, key);
  const left = keys.filter((_, at) => at % 3 === 0);
  const all = { gte: Buffer.from(''), lt: Buffer.from('9') };
  expect([...treeRange(tree, all.gte, all.lt, false)].map((row) => row.key)).toEqual(left);
  expect(tree?.height).toBeLessThanOrEqual(18);
  expect([...treeRange(whole, all.gte, all.lt, false)]).toHaveLength(20_000);
  expect(treeGet(tree, Buffer.from('000001'))).toBeUndefined();
  expect(treeGet(whole, Buffer.from('000001'))).toEqual(Buffer.from('000001'));
});
