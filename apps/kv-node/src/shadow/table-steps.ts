/**
 * What is done with a table by its id, at the replica that leads it, wherever the call came in.
 *
 *   claim      whoever has an older token writes nothing more; how far the filling is
 *   fill       a batch of rows as they are, and of commands that go on from them
 *   end        the filling is over; what is written from here on has higher revisions
 *   adopt      the same of a table that serves: a copy becomes one of the cluster's own
 *   revision   the newest one, once everything that was acknowledged is applied
 *
 * In: a step. Out: what became of it. Each of them is an entry of the table's log, or a look at it; all of
 * them may be done again when their answer was lost.
 */
import { hot, mvccV1, shadowV1 } from '@flotilla/proto';
import { faultOfBatch, type FillRefusal } from '@flotilla/mvcc';
import { type RoutedCall, type Answer, type TableRouter } from '../routing/table-router.js';
import { type RunningTable } from '../tables/table-registry.js';
import { type FillGate } from './fill-gate.js';
import { type FillWanted, refused } from './shadow-checks.js';

/** Passed on between nodes: a step, as JSON, and a Fill as it came. */
export const TABLE_STEP = 'TableStep';
export const FILL_TABLE = 'FillTable';

export type TableStep =
  | { readonly kind: 'claim'; readonly tableId: number; readonly token: number }
  | {
      readonly kind: 'end';
      readonly tableId: number;
      readonly token: number;
      /** Of a copy its position, otherwise a floor. */
      readonly revision: number;
      /** Of a copy. */
      readonly sourceEpoch?: number;
      /** Of a copy, where it is known: check of the entry at its position, in decimal digits. */
      readonly sourceCheck?: string;
    }
  | { readonly kind: 'adopt'; readonly tableId: number; readonly floor: number }
  | { readonly kind: 'revision'; readonly tableId: number };

export interface StepOutcome {
  readonly refused?: FillRefusal;
  /** Of the table, now. */
  readonly revision: number;
  /** Of the step in the table's log; 0 if it is none. */
  readonly index: number;
  readonly batches: number;
  /** As the last batch left it, in base64. */
  readonly note: string;
}

/** What is known of a call that carries a step. */
export type StepCall = Pick<RoutedCall, 'hops' | 'deadlineMs'>;

const NO_TABLE = Buffer.alloc(0);

/** How often is looked for the batch before one that came too early. */
const ORDER_LOOKS = 10;

/** The last batch of a table that was put into its log here, and is not applied yet. */
interface Proposed {
  readonly token: bigint;
  readonly batch: bigint;
}

export class TableSteps {
  /** By id of the table; one each that is being filled. */
  private readonly proposed = new Map<bigint, Proposed>();

  constructor(
    private readonly router: TableRouter,
    private readonly gate: FillGate,
  ) {}

  /** Rejects with GrpcStatusError; NotFound where there is no table with this id any more. */
  async take(step: TableStep, { hops, deadlineMs }: StepCall): Promise<StepOutcome> {
    const request = Buffer.from(JSON.stringify(step));
    const { answer } = await this.takePassed(request, { hops, deadlineMs });
    return JSON.parse(Buffer.from(answer).toString()) as StepOutcome;
  }

  /** A step as another node passed it on. */
  takePassed(request: Buffer, { hops, deadlineMs }: StepCall): Promise<Answer> {
    const step = JSON.parse(request.toString()) as TableStep;
    const call = { table: NO_TABLE, method: TABLE_STEP, request, hops, deadlineMs };
    const find = () => this.router.lookUpId(step.tableId, deadlineMs);
    return this.router.writeTo(find, call, async (table) => {
      const outcome = await taken(table, step, deadlineMs);
      return { answer: Buffer.from(JSON.stringify(outcome)), index: 0 };
    });
  }

  /** A table of the cluster's own from here on: its revisions go on above the floor and its own ones. */
  async adoptTable(tableId: number, floor: number, deadlineMs: number): Promise<number> {
    const { revision } = await this.take(
      { kind: 'adopt', tableId, floor },
      { hops: 0, deadlineMs },
    );
    return revision;
  }

  /** `bytes` is the request as it came, to be passed on to the replica that leads. */
  async fill(request: FillWanted, bytes: Buffer, { hops, deadlineMs }: StepCall): Promise<Answer> {
    const call = { table: NO_TABLE, method: FILL_TABLE, request: bytes, hops, deadlineMs };
    const find = () => this.router.lookUpId(Number(request.tableId), deadlineMs);
    return this.router.writeTo(find, call, async ({ group, machine }) => {
      const outcome = () =>
        outcomeBefore(machine.state.fill, this.proposed.get(request.tableId), request);
      if (outcome() === undefined) await this.gate.pass();
      const early = await this.inOrder(outcome);
      if (early !== undefined) return filled(early, machine.state.fill?.batches);
      const { result } = await this.proposing(request, () =>
        group.propose(hot.encodeFillCommand(request), deadlineMs),
      );
      const fault = result.fillRefused && faultOfBatch(machine.state, request);
      if (fault && !isOfWhoFills(result.fillRefused)) throw refused(fault.text);
      return filled(outcomeOf(result.fillRefused), machine.state.fill?.batches);
    });
  }

  /** One that was sent through another node may overtake the one before it: that one is on its way. */
  private async inOrder(
    outcome: () => shadowV1.FillShadowResponse_Outcome | undefined,
  ): Promise<shadowV1.FillShadowResponse_Outcome | undefined> {
    for (let look = 0; look < ORDER_LOOKS && outcome() === OUT_OF_ORDER; look++) {
      await this.gate.look();
    }
    return outcome();
  }

  /** Remembers a batch until it is applied: the next one may follow it into the log. */
  private async proposing<T>(
    { tableId, token, batch }: FillWanted,
    propose: () => Promise<T>,
  ): Promise<T> {
    const own = { token, batch };
    this.proposed.set(tableId, own);
    try {
      return await propose();
    } finally {
      if (this.proposed.get(tableId) === own) this.proposed.delete(tableId);
    }
  }
}

async function taken(
  { group, machine }: RunningTable,
  step: TableStep,
  deadlineMs: number,
): Promise<StepOutcome> {
  if (step.kind === 'revision') {
    await group.readBarrier(deadlineMs);
    return outcomeFrom(machine.state, 0, undefined);
  }
  const { result, index } = await group.propose(stepCommand(step), deadlineMs);
  return outcomeFrom(machine.state, index, result.fillRefused);
}

function outcomeFrom(
  { revision, fill }: RunningTable['machine']['state'],
  index: number,
  refused: FillRefusal | undefined,
): StepOutcome {
  const { batches = 0, note } = fill ?? {};
  const progress = { revision, index, batches, note: note?.toString('base64') ?? '' };
  return refused ? { ...progress, refused } : progress;
}

const { WRITTEN, OLD_TOKEN, OUT_OF_ORDER } = shadowV1.FillShadowResponse_Outcome;

/**
 * What is known before the log says it: batches and tokens never go back, and none is left out. The one before
 * may be in the log already; should it not become part of it after all, the table refuses the one behind it.
 */
function outcomeBefore(
  fill: RunningTable['machine']['state']['fill'],
  before: Proposed | undefined,
  { token, batch }: FillWanted,
): shadowV1.FillShadowResponse_Outcome | undefined {
  if (!fill) return undefined;
  if (token < BigInt(fill.token)) return OLD_TOKEN;
  const batches = BigInt(fill.batches);
  if (batch <= batches) return WRITTEN;
  const follows = batch === batches + 1n || (before?.token === token && batch <= before.batch + 1n);
  return follows ? undefined : OUT_OF_ORDER;
}

/** Whether it depends on who else fills the table, and not on what the batch holds. */
function isOfWhoFills(refusal: FillRefusal | undefined): boolean {
  return refusal === 'token' || refusal === 'order' || refusal === 'closed';
}

function outcomeOf(refused: FillRefusal | undefined): shadowV1.FillShadowResponse_Outcome {
  if (refused === undefined) return WRITTEN;
  return refused === 'order' ? OUT_OF_ORDER : OLD_TOKEN;
}

function filled(outcome: shadowV1.FillShadowResponse_Outcome, batches = 0): Answer {
  const response = { outcome, batches: BigInt(batches) };
  return { answer: shadowV1.FillShadowResponse.encode(response).finish(), index: 0 };
}

function stepCommand(step: Exclude<TableStep, { kind: 'revision' }>): Buffer {
  switch (step.kind) {
    case 'claim':
      return command({ fill: mvccV1.Fill.fromPartial({ token: BigInt(step.token) }) });
    case 'end': {
      const { token, revision, sourceEpoch, sourceCheck } = step;
      const adoption = { token: BigInt(token), revision: BigInt(revision) };
      if (sourceEpoch === undefined) return command({ adoption });
      const check = sourceCheck === undefined ? {} : { sourceCheck: BigInt(sourceCheck) };
      return command({ adoption: { ...adoption, sourceEpoch: BigInt(sourceEpoch), ...check } });
    }
    case 'adopt':
      return command({ adoption: { revision: BigInt(step.floor) } });
  }
}

function command(fields: Pick<mvccV1.Command, 'fill' | 'adoption'>): Buffer {
  const type = mvccV1.Command_CommandType.SEQUENCE;
  const whole = { ...mvccV1.Command.fromPartial({ type }), ...fields };
  return Buffer.from(mvccV1.Command.encode(whole).finish());
}
