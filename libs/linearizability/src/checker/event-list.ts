/**
 * The calls and returns of a history in the order of time, as a doubly linked list from which an
 * operation can be lifted and put back in constant time (Wing and Gong 1993; Lowe 2017).
 *
 * In: operations. Out: nodes by number, in the order of time; node 0 is the head and, as every list
 * ends with it, the end. Operations of unknown outcome have no return and are kept beside the list.
 * It must never order a return before a call of the same instant: that would forbid an order that
 * the clocks do not rule out.
 */
import { HistoryError, type Operation } from './operation.js';

export const END = 0;

interface Event {
  readonly operation: number;
  readonly isCall: boolean;
  readonly time: number;
}

export class EventList {
  /** Operations that returned, by the order of their returns: the numbers used everywhere else. */
  readonly returned: readonly number[];
  /** Operations of unknown outcome, by the order of their calls. */
  readonly unknown: readonly number[];
  private readonly next: Int32Array;
  private readonly previous: Int32Array;
  /** Operation of each node, and its nodes of each operation. */
  private readonly operationOf: Int32Array;
  private readonly callNode: Int32Array;
  private readonly returnNode: Int32Array;

  constructor(operations: readonly Operation<unknown, unknown>[]) {
    const events = eventsOf(operations);
    const nodes = events.length + 1;
    this.next = Int32Array.from({ length: nodes }, (_, node) => (node + 1) % nodes);
    this.previous = Int32Array.from({ length: nodes }, (_, node) => (node + nodes - 1) % nodes);
    this.operationOf = new Int32Array(nodes);
    this.callNode = new Int32Array(operations.length);
    this.returnNode = new Int32Array(operations.length);
    const returned: number[] = [];
    const unknown: number[] = [];
    events.forEach(({ operation, isCall }, at) => {
      const node = at + 1;
      this.operationOf[node] = operation;
      (isCall ? this.callNode : this.returnNode)[operation] = node;
      if (!isCall) returned.push(operation);
    });
    for (const { operation, isCall } of events) {
      if (isCall && this.returnNode[operation] === END) unknown.push(operation);
    }
    this.returned = returned;
    this.unknown = unknown;
    for (const operation of unknown) this.unlink(this.callNode[operation] ?? END);
  }

  first(): number {
    return this.next[END] ?? END;
  }

  after(node: number): number {
    return this.next[node] ?? END;
  }

  operationAt(node: number): number {
    return this.operationOf[node] ?? END;
  }

  isCall(node: number): boolean {
    return this.callNode[this.operationAt(node)] === node;
  }

  /** Nodes are numbered in the order of time, so this tells which of two calls or returns is earlier. */
  callOf(operation: number): number {
    return this.callNode[operation] ?? END;
  }

  /** Takes out both nodes of an operation that returned. */
  lift(operation: number): void {
    this.unlink(this.callNode[operation] ?? END);
    this.unlink(this.returnNode[operation] ?? END);
  }

  /** Undoes `lift`; the last lifted comes back first. */
  unlift(operation: number): void {
    this.relink(this.returnNode[operation] ?? END);
    this.relink(this.callNode[operation] ?? END);
  }

  private unlink(node: number): void {
    const before = this.previous[node] ?? END;
    const after = this.next[node] ?? END;
    this.next[before] = after;
    this.previous[after] = before;
  }

  private relink(node: number): void {
    this.next[this.previous[node] ?? END] = node;
    this.previous[this.next[node] ?? END] = node;
  }
}

function eventsOf(operations: readonly Operation<unknown, unknown>[]): Event[] {
  const events: Event[] = [];
  operations.forEach(({ call, return: end, client }, operation) => {
    if (!Number.isFinite(call) || !(end >= call)) {
      throw new HistoryError(`client ${client}: called at ${call} and returned at ${end}`);
    }
    events.push({ operation, isCall: true, time: call });
    if (end !== Infinity) events.push({ operation, isCall: false, time: end });
  });
  return events.sort(
    (one, other) => one.time - other.time || Number(other.isCall) - Number(one.isCall),
  );
}
