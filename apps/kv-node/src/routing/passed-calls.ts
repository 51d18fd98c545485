/**
 * What other nodes ask of this one: calls of clients that they pass on, and the few that nodes make
 * for themselves.
 *
 *   regatta.v1.KV/...            answered here, or passed on once more
 *   flotilla.replication.v1/...  the same: logs and tables for gateways
 *   ProposeCatalog               a change of the catalog, by its leader
 *   TableReady                   settles once a table can be used here
 *   CreateTable, DeleteTable     by the leader of the catalog, where such changes queue up;
 *   CreateCopy, DeleteCopy       the same of a leader cluster's table
 *   what `useMore` was given     tables that are filled out of sight; copies, in a follower cluster
 */
import {
  GrpcStatusError,
  status,
  toStatusError,
  type CallContext,
  type MessageSink,
} from '@flotilla/grpc';
import { peerV1 } from '@flotilla/proto';
import { type Catalog, type CatalogOutcome } from '../catalog/catalog.service.js';
import { notReady, toStatus } from '../kv/errors.js';
import { type FeedService } from '../feed/feed.service.js';
import { type KvService } from '../kv/kv.service.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { type PassedAnswer, type PassedCall } from '@flotilla/raft';
import { wasNotExecuted } from '../peers/not-executed.js';
import {
  type CreateOutcome,
  type DeleteOutcome,
  type NamedTable,
  type TableAdmin,
} from '../tables/table-admin.js';
import { type TableRegistry } from '../tables/table-registry.js';
import { HOPS_MAX, type Forwarder } from './forwarder.js';
import { passedContext } from './passed-context.js';
import { type Answer } from './table-router.js';

const PROPOSE_CATALOG = 'ProposeCatalog';
const TABLE_READY = 'TableReady';
const CREATE_TABLE = 'CreateTable';
const DELETE_TABLE = 'DeleteTable';
const CREATE_COPY = 'CreateCopy';
const DELETE_COPY = 'DeleteCopy';
const SUCCEEDED = Buffer.from([1]);
const NOTHING = Buffer.alloc(0);

/** Further methods that nodes pass on; undefined where a method is none of them. */
export type MorePassedCalls = Pick<KvService, 'passedOn' | 'streamPassedOn'>;

export class PassedCalls {
  private admin: TableAdmin | undefined;
  private readonly more: MorePassedCalls[] = [];

  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly kv: KvService,
    private readonly feed: FeedService,
    private readonly forwarder: Forwarder,
    /** Told of what was not meant for the caller. */
    private readonly onInternal: (error: unknown, method: string) => void,
  ) {}

  /** Who creates and deletes tables here. */
  useAdmin(admin: TableAdmin): void {
    this.admin = admin;
  }

  /** What is answered besides, and before all else. */
  useMore(more: MorePassedCalls): void {
    this.more.push(more);
  }

  /** Never rejects: a failure is an answer too. */
  async call(call: PassedCall): Promise<PassedAnswer> {
    try {
      const { answer, index } = await this.answer(call);
      return { id: call.id, answer, index, code: status.OK, message: '', notExecuted: false };
    } catch (thrown) {
      const error = toStatusError(toStatus(thrown));
      if (error.code === status.INTERNAL) this.onInternal(thrown, call.method);
      const { code, message } = error;
      const notExecuted = wasNotExecuted(error);
      return { id: call.id, answer: NOTHING, index: 0, code, message, notExecuted };
    }
  }

  private async answer({ method, request, hops, timeoutMs }: PassedCall): Promise<Answer> {
    const bytes = Buffer.from(request.buffer, request.byteOffset, request.length);
    const context = passedContext(method, this.runtime.clock.wallMs() + timeoutMs);
    const passed =
      firstOf(this.more, (more) => more.passedOn(method, bytes, context, hops)) ??
      this.kv.passedOn(method, bytes, context, hops);
    if (passed) return passed;
    const deadlineMs = this.runtime.deadline(Math.min(timeoutMs, OPERATION_TIMEOUT_MS));
    if (method === PROPOSE_CATALOG) return this.proposeCatalog(bytes, hops, deadlineMs);
    if (method === TABLE_READY) return this.tableReady(bytes, deadlineMs);
    if (method === CREATE_TABLE || method === DELETE_TABLE) {
      return this.changeTable(method, { name: bytes.toString() }, deadlineMs);
    }
    if (method === CREATE_COPY || method === DELETE_COPY) {
      return this.changeTable(method, JSON.parse(bytes.toString()) as NamedTable, deadlineMs);
    }
    throw unknownMethod(method);
  }

  async callStream(
    { method, request, hops }: peerV1.ForwardedCall,
    call: CallContext,
    sink: MessageSink,
  ): Promise<void> {
    const into = answersInto(sink);
    const passed =
      firstOf(this.more, (more) => more.streamPassedOn(method, request, call, into, hops)) ??
      this.kv.streamPassedOn(method, request, call, into, hops) ??
      this.feed.streamPassedOn(method, request, call, into, hops);
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
      deadlineMs,
    });
    return { succeeded: answer.length > 0, index };
  }

  /** Settles once a table can be used at a node that holds a replica of it. */
  async awaitTableAt(node: number, id: number, deadlineMs: number): Promise<void> {
    await this.forwarder.call(node, {
      method: TABLE_READY,
      request: Buffer.from(String(id)),
      hops: 0,
      deadlineMs,
    });
  }

  async createTableAt(node: number, table: NamedTable, deadlineMs: number): Promise<CreateOutcome> {
    const method = table.source ? CREATE_COPY : CREATE_TABLE;
    return this.outcomeAt<CreateOutcome>(node, method, table, deadlineMs);
  }

  async deleteTableAt(node: number, table: NamedTable, deadlineMs: number): Promise<DeleteOutcome> {
    const method = table.source ? DELETE_COPY : DELETE_TABLE;
    return this.outcomeAt<DeleteOutcome>(node, method, table, deadlineMs);
  }

  /** Outcomes travel as JSON between nodes of one version family. */
  private async outcomeAt<T>(
    node: number,
    method: string,
    table: NamedTable,
    deadlineMs: number,
  ): Promise<T> {
    const request = Buffer.from(table.source ? JSON.stringify(table) : table.name);
    const { answer } = await this.forwarder.call(node, { method, request, hops: 0, deadlineMs });
    return JSON.parse(Buffer.from(answer).toString()) as T;
  }

  private async changeTable(
    method: string,
    table: NamedTable,
    deadlineMs: number,
  ): Promise<Answer> {
    if (!this.admin || !this.catalog.group.isLeader) throw notReady();
    const outcome =
      method === CREATE_TABLE || method === CREATE_COPY
        ? await this.admin.createHere(table, deadlineMs)
        : await this.admin.deleteHere(table, deadlineMs);
    return { answer: Buffer.from(JSON.stringify(outcome)), index: 0 };
  }

  private async proposeCatalog(command: Buffer, hops: number, deadlineMs: number): Promise<Answer> {
    if (hops > HOPS_MAX) throw notReady();
    const { succeeded, index } = await this.proposeAtLeader(command, deadlineMs, hops);
    return { answer: succeeded ? SUCCEEDED : NOTHING, index };
  }

  private async tableReady(request: Buffer, deadlineMs: number): Promise<Answer> {
    const table = this.registry.get(Number(request.toString()));
    if (!table) throw notReady();
    await table.group.readBarrier(deadlineMs);
    return { answer: NOTHING, index: 0 };
  }
}

function firstOf<T, R>(all: readonly T[], ask: (each: T) => R | undefined): R | undefined {
  for (const each of all) {
    const answer = ask(each);
    if (answer !== undefined) return answer;
  }
  return undefined;
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
