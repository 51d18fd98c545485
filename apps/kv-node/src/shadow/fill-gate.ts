/**
 * Holds a batch of rows back while the engine has not put in order what came before it.
 *
 * Out: a promise for the moment at which the engine can take more. An engine that is behind holds up writes on
 * the thread that reads are served by: a table that is filled may wait, clients that read meanwhile must not.
 * It waits for so long at most: a table that is filled slowly gets there, one that is refused does not. What passes
 * here is the bulk data of a node, so the process is told of it.
 */
import { type Engine } from '@flotilla/mvcc';
import { type NodeClock } from '../node/node-clock.js';

/** Between two looks at an engine that is behind. */
export const GATE_LOOK_MS = 10;
/** The longest that a batch is held back; whoever sends it waits longer. */
export const GATE_WAIT_MS_MAX = 2_000;

export interface FillGateParts {
  readonly engine: Pick<Engine, 'isBehind'>;
  readonly runtime: { readonly clock: Pick<NodeClock, 'sleep'>; noteBulk(): void };
}

export class FillGate {
  constructor(private readonly parts: FillGateParts) {}

  async pass(): Promise<void> {
    const { engine, runtime } = this.parts;
    runtime.noteBulk();
    for (let waitedMs = 0; engine.isBehind() && waitedMs < GATE_WAIT_MS_MAX;) {
      await this.look();
      waitedMs += GATE_LOOK_MS;
    }
  }

  /** A moment; things may be otherwise then. */
  look(): Promise<void> {
    return this.parts.runtime.clock.sleep(GATE_LOOK_MS);
  }
}
