/**
 * Where a copy stands, told by the replica that leads it, wherever the question came in.
 *
 * In: a table. Out: the last index of the leader cluster's log that it holds, once everything that was
 * acknowledged here is applied. It changes nothing.
 */
import { type CallContext } from '@flotilla/grpc';
import { type TableInfo } from '../catalog/catalog-state.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type MorePassedCalls } from '../routing/passed-calls.js';
import { type Answer, type TableRouter } from '../routing/table-router.js';

/** Passed on between nodes, with the table's id as text; answered by the index as text. */
const LOOK_AT_COPY = 'LookAtCopy';
const NO_TABLE = Buffer.alloc(0);

export class CopyLook implements MorePassedCalls {
  constructor(
    private readonly runtime: NodeRuntime,
    private readonly router: TableRouter,
  ) {}

  async leaderIndex({ id }: TableInfo, deadlineMs: number): Promise<number> {
    const { answer } = await this.routed(Buffer.from(String(id)), 0, deadlineMs);
    return Number(Buffer.from(answer).toString());
  }

  passedOn(
    method: string,
    bytes: Buffer,
    call: CallContext,
    hops: number,
  ): Promise<Answer> | undefined {
    if (method !== LOOK_AT_COPY) return undefined;
    const leftMs = (call.deadline ?? Infinity) - this.runtime.clock.wallMs();
    return this.routed(bytes, hops, this.runtime.deadline(leftMs));
  }

  streamPassedOn(): undefined {
    return undefined;
  }

  private routed(request: Buffer, hops: number, deadlineMs: number): Promise<Answer> {
    const call = { table: NO_TABLE, method: LOOK_AT_COPY, request, hops, deadlineMs };
    const find = () => this.router.lookUpId(Number(request.toString()), deadlineMs);
    return this.router.writeTo(find, call, async ({ group, machine }) => {
      await group.readBarrier(deadlineMs);
      return { answer: Buffer.from(String(machine.state.leaderIndex)), index: 0 };
    });
  }
}
