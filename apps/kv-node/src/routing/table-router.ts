/**
 * Finds who can answer for a table: the replica here, its leader, or a node that holds it.
 *
 *   read    a voter here, else any living replica; tried elsewhere when that fails
 *   write   the leader, here or there; tried again only when it certainly was not done
 *
 * In: a table's name, what to do where it is local, the call to pass on where it is not. Out: an
 * answer. While a group has no leader the call waits, as long as its deadline allows.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { TableError } from '@flotilla/mvcc';
import { HostError, HostErrorCode } from '@flotilla/raft';
import { type Catalog } from '../catalog/catalog.service.js';
import { type TableInfo } from '../catalog/catalog-state.js';
import { notReady, tableNotFound, toStatus, withStatus } from '../kv/errors.js';
import { type NodeRuntime } from '../node/node-runtime.js';
import { wasNotExecuted } from '../peers/not-executed.js';
import { type PeerNetwork } from '../peers/peer-network.js';
import { type RunningTable, type TableRegistry } from '../tables/table-registry.js';
import { HOPS_MAX, type Forwarder } from './forwarder.js';

/** A call that a client made, or another node passed on. */
export interface RoutedCall {
  readonly table: Buffer;
  readonly method: string;
  readonly request: Uint8Array;
  /** How often it was passed on before it came here. */
  readonly hops: number;
  /** On the clock of the host. */
  readonly deadlineMs: number;
  /** How long a stream may go on, where that is longer; Infinity for as long as it is wanted. */
  readonly streamDeadlineMs?: number;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly answer: Uint8Array;
  /** Log index the answer speaks of; 0 for none. */
  readonly index: number;
}

/** How long a replica is asked who leads before others are. */
const LEADER_WAIT_MS = 500;
const STOPPED: ReadonlySet<HostErrorCode> = new Set([
  HostErrorCode.GroupClosed,
  HostErrorCode.GroupNotFound,
]);
const PAUSE_MS = 10;
const PAUSE_MAX_MS = 200;
/** How often a call that was passed on as often as may be is looked at again where it is. */
const LAST_HOP_ATTEMPTS_MAX = 3;
/** A write that is done waits no longer than this for the replica here to show it. */
const OWN_WRITE_WAIT_MS = 1_000;

export class TableRouter {
  constructor(
    private readonly runtime: NodeRuntime,
    private readonly catalog: Catalog,
    private readonly registry: TableRegistry,
    private readonly network: PeerNetwork,
    private readonly forwarder: Forwarder,
  ) {}

  /** The replica here, if it may answer reads: one that is still being filled may not. */
  serving(name: Uint8Array): RunningTable | undefined {
    const table = this.registry.find(name);
    return table?.group.isVoter && table.group.appliedIndex >= table.completeAt ? table : undefined;
  }

  /** The replica here, if it leads. */
  leading(name: Uint8Array): RunningTable | undefined {
    const table = this.registry.find(name);
    return table?.group.isLeader ? table : undefined;
  }

  /** Whether what is written into a table comes from a leader cluster alone. */
  isCopy(table: RunningTable): boolean {
    const { copies } = this.catalog.state;
    return copies.size > 0 && copies.has(table.id);
  }

  /** What the catalog says of a table; asks it before it says that there is none. */
  async lookUp(name: Buffer, deadlineMs: number): Promise<TableInfo> {
    const key = name.toString();
    const known = this.catalog.state.tables.get(key);
    if (known) return known;
    try {
      await this.catalog.barrier(deadlineMs);
    } catch (error) {
      throw toStatus(error);
    }
    const found = this.catalog.state.tables.get(key);
    if (!found) throw tableNotFound();
    return found;
  }

  /** The same by id, whether it is served or filled out of sight. */
  async lookUpId(id: number, deadlineMs: number): Promise<TableInfo> {
    const { tablesById } = this.catalog.state;
    if (!tablesById.has(id)) await withStatus(this.catalog.barrier(deadlineMs));
    const found = tablesById.get(id);
    if (!found) throw tableNotFound();
    return found;
  }

  /** Another table has taken the name over from this one, which therefore could not answer. */
  isReplaced({ id, name }: Pick<RunningTable, 'id' | 'name'>, error: unknown): boolean {
    if (!isStopped(error)) return false;
    const now = this.catalog.state.tables.get(name);
    return now !== undefined && now.id !== id;
  }

  /** Answers from the replica here or from any other; may be tried at several. */
  async read(
    call: RoutedCall,
    answerHere: (table: RunningTable) => Uint8Array | Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    for (let attempt = 0; ; attempt++) {
      const info = await this.lookUp(call.table, call.deadlineMs);
      const here = this.serving(call.table);
      try {
        if (here) return await answerHere(here);
      } catch (error) {
        if (!this.isReplaced(info, error)) throw error;
        continue;
      }
      const node = this.pickHolder(info, attempt);
      try {
        if (node !== undefined && call.hops < HOPS_MAX) {
          return (await this.forwarder.call(node, call)).answer;
        }
      } catch (error) {
        if (!isUnavailable(error)) throw error;
      }
      await this.pause(attempt, call);
    }
  }

  /** A stream from a replica elsewhere; undefined when one runs here that may answer. */
  async remoteStream(call: RoutedCall): Promise<AsyncIterable<Buffer> | undefined> {
    for (let attempt = 0; ; attempt++) {
      const info = await this.lookUp(call.table, call.deadlineMs);
      if (this.serving(call.table)) return undefined;
      const node = this.pickHolder(info, attempt);
      if (node !== undefined && call.hops < HOPS_MAX) {
        const deadlineMs = call.streamDeadlineMs ?? call.deadlineMs;
        return this.forwarder.stream(node, { ...call, deadlineMs });
      }
      await this.pause(attempt, call);
    }
  }

  /** Has the leader do it. */
  write(call: RoutedCall, propose: (table: RunningTable) => Promise<Answer>): Promise<Answer> {
    return this.writeTo(() => this.lookUp(call.table, call.deadlineMs), call, propose);
  }

  /** The same of the table that `find` finds, each time anew. */
  async writeTo(
    find: () => Promise<TableInfo>,
    call: RoutedCall,
    propose: (table: RunningTable) => Promise<Answer>,
  ): Promise<Answer> {
    for (let attempt = 0; ; attempt++) {
      const info = await find();
      const here = this.registry.get(info.id);
      try {
        if (here?.group.isLeader) return await propose(here);
        const node = await this.leaderOf(info, here, attempt, call.deadlineMs);
        if (node === this.runtime.host.nodeId) continue;
        if (node !== undefined && call.hops < HOPS_MAX) return await this.writeAt(node, call, here);
      } catch (error) {
        // What a table that was replaced had written is gone with it.
        if (!mayTryAgain(error) && !this.isReplaced(info, error)) throw toStatus(error);
      }
      await this.pause(attempt, call);
    }
  }

  private async writeAt(
    node: number,
    call: RoutedCall,
    here: RunningTable | undefined,
  ): Promise<Answer> {
    const done = await this.forwarder.call(node, call);
    if (here?.group.isVoter && done.index > 0) await this.showHere(here, done.index, call);
    return done;
  }

  /** Whoever wrote through this node reads their write here. */
  private async showHere(here: RunningTable, index: number, call: RoutedCall): Promise<void> {
    const atMost = this.runtime.deadline(OWN_WRITE_WAIT_MS);
    try {
      await here.group.applied(index, Math.min(atMost, call.deadlineMs));
    } catch (error) {
      // The write is done wherever it counts; a replica that is behind must not deny that.
      if (!(error instanceof HostError)) throw error;
    }
  }

  private async leaderOf(
    info: TableInfo,
    here: RunningTable | undefined,
    attempt: number,
    deadlineMs: number,
  ): Promise<number | undefined> {
    if (here?.group.isVoter) {
      const known = await this.knownHere(here, deadlineMs);
      if (known !== undefined) return known;
    }
    return this.pickHolder(info, attempt);
  }

  /**
   * Where a call goes from a node that holds nothing of the table. Reads and writes go to the same
   * one, which has applied a write when it answers: who wrote through this node reads their write.
   */
  private pickHolder(info: TableInfo, attempt: number): number | undefined {
    const { preferredLeader } = info;
    const mayAnswer = attempt === 0 && preferredLeader !== this.runtime.host.nodeId;
    if (mayAnswer && this.network.isAlive(preferredLeader)) return preferredLeader;
    return this.pickReplica(info, attempt);
  }

  /** A replica that is cut off from its leader alone does not learn of one: others may know. */
  private async knownHere(here: RunningTable, deadlineMs: number): Promise<number | undefined> {
    const soonMs = this.runtime.deadline(LEADER_WAIT_MS);
    try {
      return await here.group.leaderKnown(Math.min(soonMs, deadlineMs));
    } catch (error) {
      if (error instanceof HostError && error.code === HostErrorCode.NotReady) return undefined;
      throw error;
    }
  }

  private pickReplica(info: TableInfo, attempt: number): number | undefined {
    const self = this.runtime.host.nodeId;
    const settled = info.movingFrom.length > 0 ? info.movingFrom : info.replicas;
    const living = settled.filter((id) => id !== self && this.network.isAlive(id));
    const steady = living.filter((id) => !this.network.isDraining(id));
    const choice = steady.length > 0 ? steady : living;
    if (choice.length === 0) return undefined;
    return choice[(info.id + attempt) % choice.length];
  }

  /**
   * A call that cannot be passed on any more goes back to who passed it on last: while a name goes over to
   * another table, or leadership to another node, calls are passed in circles, and nobody here would end that.
   */
  private async pause(attempt: number, { hops, deadlineMs }: RoutedCall): Promise<void> {
    if (hops >= HOPS_MAX && attempt >= LAST_HOP_ATTEMPTS_MAX) throw notReady();
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(attempt, 8));
    if (this.runtime.remainingMs(deadlineMs) <= pauseMs) throw notReady();
    await this.runtime.clock.sleep(pauseMs);
  }
}

function isUnavailable(error: unknown): boolean {
  return error instanceof GrpcStatusError && error.code === status.UNAVAILABLE;
}

/** The replica that was asked does not run any more. */
function isStopped(error: unknown): boolean {
  const cause = error instanceof GrpcStatusError ? error.cause : error;
  if (cause instanceof TableError) return cause.code === 'TABLE_CLOSED';
  return cause instanceof HostError && STOPPED.has(cause.code);
}

/** A busy group says so at once; one without a leader may have one soon. */
export function mayTryAgain(error: unknown): boolean {
  if (error instanceof HostError) return error.code === HostErrorCode.NotReady;
  return isUnavailable(error) && wasNotExecuted(error) && !isBusy(error);
}

function isBusy(error: unknown): boolean {
  return error instanceof GrpcStatusError && error.message.startsWith('system is too busy');
}
