/**
 * An ordered map of byte strings whose every version stays readable: a persistent AVL tree.
 *
 * In: a root and a change. Out: a new root; the old one still shows the map as it was, so a snapshot
 * is a reference. A change copies the path to the root, O(log n). Nodes must never be altered once
 * made.
 */

export interface TreeNode {
  readonly key: Buffer;
  readonly value: Buffer;
  readonly left: Tree;
  readonly right: Tree;
  readonly height: number;
}

/** Root of a map; `undefined` is the empty one. */
export type Tree = TreeNode | undefined;

const heightOf = (tree: Tree): number => (tree === undefined ? 0 : tree.height);

function node(key: Buffer, value: Buffer, left: Tree, right: Tree): TreeNode {
  return { key, value, left, right, height: 1 + Math.max(heightOf(left), heightOf(right)) };
}

/** A node over two subtrees whose heights differ by two at most. */
function balanced(key: Buffer, value: Buffer, left: Tree, right: Tree): TreeNode {
  const difference = heightOf(left) - heightOf(right);
  if (difference > 1 && left !== undefined) return leanRight(key, value, left, right);
  if (difference < -1 && right !== undefined) return leanLeft(key, value, left, right);
  return node(key, value, left, right);
}

function leanRight(key: Buffer, value: Buffer, left: TreeNode, right: Tree): TreeNode {
  const inner = left.right;
  if (inner === undefined || heightOf(left.left) >= inner.height) {
    return node(left.key, left.value, left.left, node(key, value, inner, right));
  }
  return node(
    inner.key,
    inner.value,
    node(left.key, left.value, left.left, inner.left),
    node(key, value, inner.right, right),
  );
}

function leanLeft(key: Buffer, value: Buffer, left: Tree, right: TreeNode): TreeNode {
  const inner = right.left;
  if (inner === undefined || heightOf(right.right) >= inner.height) {
    return node(right.key, right.value, node(key, value, left, inner), right.right);
  }
  return node(
    inner.key,
    inner.value,
    node(key, value, left, inner.left),
    node(right.key, right.value, inner.right, right.right),
  );
}

export function treeGet(tree: Tree, key: Uint8Array): Buffer | undefined {
  let at = tree;
  while (at !== undefined) {
    const order = Buffer.compare(key, at.key);
    if (order === 0) return at.value;
    at = order < 0 ? at.left : at.right;
  }
  return undefined;
}

export function treePut(tree: Tree, key: Buffer, value: Buffer): TreeNode {
  if (tree === undefined) return node(key, value, undefined, undefined);
  const order = Buffer.compare(key, tree.key);
  if (order === 0) return node(tree.key, value, tree.left, tree.right);
  return order < 0
    ? balanced(tree.key, tree.value, treePut(tree.left, key, value), tree.right)
    : balanced(tree.key, tree.value, tree.left, treePut(tree.right, key, value));
}

export function treeDelete(tree: Tree, key: Uint8Array): Tree {
  if (tree === undefined) return undefined;
  const order = Buffer.compare(key, tree.key);
  if (order < 0) {
    const left = treeDelete(tree.left, key);
    return left === tree.left ? tree : balanced(tree.key, tree.value, left, tree.right);
  }
  if (order > 0) {
    const right = treeDelete(tree.right, key);
    return right === tree.right ? tree : balanced(tree.key, tree.value, tree.left, right);
  }
  if (tree.left === undefined) return tree.right;
  if (tree.right === undefined) return tree.left;
  let successor: TreeNode = tree.right;
  while (successor.left !== undefined) successor = successor.left;
  const right = treeDelete(tree.right, successor.key);
  return balanced(successor.key, successor.value, tree.left, right);
}

/** Nodes of a version with `gte <= key < lt`, in order or in reverse. */
export function* treeRange(
  tree: Tree,
  gte: Uint8Array,
  lt: Uint8Array,
  reverse: boolean,
): Generator<TreeNode, void, undefined> {
  if (tree === undefined) return;
  const isAboveStart = Buffer.compare(tree.key, gte) >= 0;
  const isBelowEnd = Buffer.compare(tree.key, lt) < 0;
  if (reverse) {
    if (isBelowEnd) yield* treeRange(tree.right, gte, lt, true);
    if (isAboveStart && isBelowEnd) yield tree;
    if (isAboveStart) yield* treeRange(tree.left, gte, lt, true);
    return;
  }
  if (isAboveStart) yield* treeRange(tree.left, gte, lt, false);
  if (isAboveStart && isBelowEnd) yield tree;
  if (isBelowEnd) yield* treeRange(tree.right, gte, lt, false);
}
