/**
 * The search for an order (Wing and Gong 1993, with the memory of Lowe 2017).
 *
 * In: a model and a history. Out: whether all operations that returned can be put in one order that
 * the model allows and the times of calls and returns do not rule out; if not, the longest beginning
 * of one. Depth first: next may come any operation that was called before the first return of one
 * that is not in order yet. Only when none of them leads to an end, those of unknown outcome are put
 * between, fewest first: mostly they are not needed, and tried freely their subsets have no end. It
 * must never look at a clock: its bounds are counts, so a history gets one verdict on all machines.
 */
import { type Configuration, Visited, withReturned, withUnknown } from './configuration.js';
import { EventList } from './event-list.js';
import { LostIndex } from './lost-index.js';
import { type CheckOptions, type CheckResult, type Model, type Operation } from './operation.js';

export const STEPS_MAX_DEFAULT = 50_000_000;
export const CONFIGURATIONS_MAX_DEFAULT = 2_000_000;

/** What a frame stands for: its operation, and possibly some of unknown outcome after it. */
interface Variant<S> {
  readonly configuration: Configuration<S>;
  /** The last of the operations of unknown outcome, and the variant without it. */
  readonly unknown?: { readonly operation: number; readonly before: Variant<S> };
}

/** One operation that returned, put in order, and what is still to be tried after it. */
interface Frame<S> {
  /** Absent in the first, which has no operation either. */
  readonly parent?: {
    readonly frame: Frame<S>;
    readonly variant: Variant<S>;
    readonly operation: number;
  };
  /** How many operations that returned are in order. */
  readonly placed: number;
  /** Grows while it is worked off: each adds those with one more operation of unknown outcome. */
  readonly variants: Variant<S>[];
  /** The variant whose followers are tried, and the node that is looked at next. */
  at: number;
  node: number;
}

export function checkLinearizable<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
  options: CheckOptions = {},
): CheckResult<S, I, O> {
  return new Search(model, operations, options).run();
}

class Search<S, I, O> {
  private readonly events: EventList;
  private readonly visited: Visited<S>;
  private readonly stepsMax: number;
  private readonly configurationsMax: number;
  /** Number of each operation that returned, by the order of returns. */
  private readonly idOf: Int32Array;
  private readonly lost: LostIndex<S, I, O>;
  private steps = 0;
  private top: Frame<S>;
  private best: { readonly frame: Frame<S>; readonly variant: Variant<S> };

  constructor(
    private readonly model: Model<S, I, O>,
    private readonly operations: readonly Operation<I, O>[],
    options: CheckOptions,
  ) {
    this.events = new EventList(operations);
    this.visited = new Visited(model);
    this.stepsMax = options.stepsMax ?? STEPS_MAX_DEFAULT;
    this.configurationsMax = options.configurationsMax ?? CONFIGURATIONS_MAX_DEFAULT;
    this.idOf = new Int32Array(operations.length);
    this.events.returned.forEach((operation, id) => (this.idOf[operation] = id));
    this.lost = new LostIndex(model, operations, this.events.unknown);
    const first = { configuration: { front: 0, ahead: [], used: [], state: model.init() } };
    this.top = { placed: 0, variants: [first], at: 0, node: this.events.first() };
    this.best = { frame: this.top, variant: first };
  }

  run(): CheckResult<S, I, O> {
    const goal = this.events.returned.length;
    while (this.top.placed < goal) {
      if (this.steps >= this.stepsMax || this.visited.size >= this.configurationsMax) {
        return this.result('unknown');
      }
      const { top, events } = this;
      const variant = top.variants[top.at];
      if (variant === undefined) {
        if (!this.goBack()) return this.result('not-linearizable');
      } else if (events.isCall(top.node)) {
        const operation = events.operationAt(top.node);
        top.node = events.after(top.node);
        this.place(variant, operation);
      } else {
        // A return of what is not in order yet: what was called later cannot come next.
        this.addVariants(variant, top.node);
        top.at += 1;
        top.node = events.first();
      }
    }
    return this.result('linearizable');
  }

  private place(variant: Variant<S>, operation: number): void {
    const state = this.step(variant, operation);
    if (state === undefined) return;
    const id = this.idOf[operation] ?? 0;
    const configuration = withReturned(variant.configuration, id, state);
    if (!this.visited.add(configuration)) return;
    this.events.lift(operation);
    const frame = this.top;
    const first = { configuration };
    this.top = {
      parent: { frame, variant, operation },
      placed: frame.placed + 1,
      variants: [first],
      at: 0,
      node: this.events.first(),
    };
    if (this.top.placed > this.best.frame.placed) this.best = { frame: this.top, variant: first };
  }

  /** All that come from one variant by one more operation of unknown outcome, called before `limit`. */
  private addVariants(before: Variant<S>, limit: number): void {
    const { used, state } = before.configuration;
    for (const { id, operation, twin } of this.lost.candidates(
      state,
      before.unknown === undefined,
    )) {
      if (this.events.callOf(operation) > limit || this.steps >= this.stepsMax) continue;
      if (used.includes(id) || (twin !== undefined && !used.includes(twin))) continue;
      const next = this.step(before, operation);
      if (next === undefined) continue;
      const configuration = withUnknown(before.configuration, id, next);
      if (!this.visited.add(configuration)) continue;
      this.top.variants.push({ configuration, unknown: { operation, before } });
    }
  }

  private step({ configuration }: Variant<S>, operation: number): S | undefined {
    const asked = this.operations[operation];
    if (asked === undefined) throw new RangeError(`no operation ${operation}`);
    this.steps += 1;
    return this.model.step(configuration.state, asked.input, asked.output);
  }

  /** Takes the last operation out of the order again; false if there is none. */
  private goBack(): boolean {
    const { parent } = this.top;
    if (parent === undefined) return false;
    this.events.unlift(parent.operation);
    this.top = parent.frame;
    return true;
  }

  private result(verdict: CheckResult<S, I, O>['verdict']): CheckResult<S, I, O> {
    const { configuration } = this.best.variant;
    return {
      verdict,
      steps: this.steps,
      operations: this.operations.length,
      longest: {
        linearized: this.bestOrder().flatMap((operation) => this.operations[operation] ?? []),
        state: configuration.state,
        stuck: this.stuckAfter(configuration),
      },
    };
  }

  private bestOrder(): number[] {
    const order: number[] = [];
    let { frame, variant } = this.best;
    for (;;) {
      for (let { unknown } = variant; unknown !== undefined; { unknown } = unknown.before) {
        order.push(unknown.operation);
      }
      if (frame.parent === undefined) return order.reverse();
      order.push(frame.parent.operation);
      ({ frame, variant } = frame.parent);
    }
  }

  /** Operations that returned and would have to come next, by the order of their returns. */
  private stuckAfter(configuration: Configuration<S>): Operation<I, O>[] {
    const { returned } = this.events;
    const first = this.operations[returned[configuration.front] ?? -1];
    if (first === undefined) return [];
    const ahead = new Set(configuration.ahead);
    return returned
      .filter((_, id) => id >= configuration.front && !ahead.has(id))
      .flatMap((operation) => this.operations[operation] ?? [])
      .filter(({ call }) => call <= first.return);
  }
}
