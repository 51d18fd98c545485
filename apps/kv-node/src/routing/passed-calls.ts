/**
 * What other nodes ask of this one: calls of clients that they pass on, and the few that nodes make
 * for themselves.
 *
 *   regatta.v1.KV/...            answered here, or passed on once more
 *   ProposeCatalog               a change of the catalog, by its leader
 *   TableReady                   settles once a table can be used here
 */
import { GrpcStatusError, status, type CallContext, type MessageSink } from '@flotilla/grpc';
import { peerV1 } from '@flotilla/proto';
import { type Catalog, type CatalogOutcome } from '../catalog/catalog.service.js';
import { toStatus } from '../kv/errors.js';
import { type KvService } from '../kv/kv.service.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type TableRegistry } from '../tables/table-registry.js';
import { HOPS_MAX, type Forwarder } from './forwarder.js';

const PROPOSE_CATALOG = 'ProposeCatalog';
const TABLE_READY = 'TableReady';
const SUCCEEDED = Buffer.from([1]);
const NOTHING = Buffer.alloc(0);

export class PassedCalls {
  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly kv: KvService,
    private readonly forwarder: Forwarder,
  ) {}

  async call(
    { method, request, hops }: peerV1.ForwardedCall,
    call: CallContext,
  ): Promise<peerV1.ForwardedAnswer> {
    const passed = this.kv.passedOn(method, request, call, hops);
    if (passed) {
      const { answer, index } = await passed;
      const bytes = Buffer.from(answer.buffer, answer.byteOffset, answer.length);
      return { answer: bytes, index: BigInt(index) };
    }
    try {
      if (method === PROPOSE_CATALOG) return await this.proposeCatalog(request, hops, call);
      if (method === TABLE_READY) return await this.tableReady(request, call);
    } catch (error) {
      throw toStatus(error);
    }
    throw unknownMethod(method);
  }

  async callStream(
    { method, request, hops }: peerV1.ForwardedCall,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const passed = this.kv.streamPassedOn(method, request, call, answersInto(sink), hops);
    if (!passed) throw unknownMethod(method);
    await passed;
  }

  /** Catalog.useLeaderElsewhere: has the catalog's leader propose a command. */
  async proposeAtLeader(command: Buffer, deadlineMs: number, hops = 0): Promise<CatalogOutcome> {
    const leader = await this.catalog.group.leaderKnown(deadlineMs);
    if (leader === this.runtime.host.nodeId) {
      const { result, index } = await this.catalog.group.propose(command, deadlineMs);
      return { succeeded: result.succeeded, index };
    }
    const { answer, index } = await this.forwarder.call(leader, {
      method: PROPOSE_CATALOG,
      request: command,
      hops,
      deadlineMs: this.runtime.remainingMs(deadlineMs),
    });
    return { succeeded: answer.length > 0, index: Number(index) };
  }

  /** Settles once a table can be used at a node that holds a replica of it. */
  async awaitTableAt(node: number, id: number, deadlineMs: number): Promise<void> {
    await this.forwarder.call(node, {
      method: TABLE_READY,
      request: Buffer.from(String(id)),
      hops: 0,
      deadlineMs: this.runtime.remainingMs(deadlineMs),
    });
  }

  private async proposeCatalog(
    command: Buffer,
    hops: number,
    call: CallContext,
  ): Promise<peerV1.ForwardedAnswer> {
    if (hops > HOPS_MAX) {
      throw new GrpcStatusError(status.UNAVAILABLE, 'the leader of the catalog moves too fast');
    }
    const { succeeded, index } = await this.proposeAtLeader(command, this.deadline(call), hops);
    return { answer: succeeded ? SUCCEEDED : NOTHING, index: BigInt(index) };
  }

  private async tableReady(request: Buffer, call: CallContext): Promise<peerV1.ForwardedAnswer> {
    const table = this.registry.get(Number(request.toString()));
    if (!table) throw new GrpcStatusError(status.UNAVAILABLE, 'the table does not run here yet');
    await table.group.readBarrier(this.deadline(call));
    return { answer: NOTHING, index: 0n };
  }

  private deadline(call: CallContext): number {
    const timeoutMs = call.deadline === undefined ? Infinity : call.deadline - Date.now();
    return this.runtime.deadline(Math.min(timeoutMs, OPERATION_TIMEOUT_MS));
  }
}

/** Every message of a stream goes out as one forwarded answer. */
function answersInto(sink: MessageSink): MessageSink {
  return {
    write: (message) => {
      const answer = Buffer.from(message.buffer, message.byteOffset, message.length);
      return sink.write(peerV1.ForwardedAnswer.encode({ answer, index: 0n }).finish());
    },
  };
}

function unknownMethod(method: string): GrpcStatusError {
  return new GrpcStatusError(status.UNIMPLEMENTED, `nodes do not pass on ${method}`);
}
