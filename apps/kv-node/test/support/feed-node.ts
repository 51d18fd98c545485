/**
 * One node with tables and its Feed API, without sockets: calls are made on the service itself.
 *
 * In: tables, writes. Out: the messages of a stream as they are sent, at the pace of the test.
 */
import { type CallContext, type MessageSink } from '@flotilla/grpc';
import { feedV1, hot } from '@flotilla/proto';
import { Catalog } from '../../src/catalog/catalog.service.js';
import {
  completeCommand,
  createCommand,
  deleteCommand,
  newRow,
  nextTableId,
} from '../../src/catalog/catalog-rows.js';
import { FeedService, READ_LOG, READ_TABLE, WATCH_TABLES } from '../../src/feed/feed.service.js';
import { type PeerNetwork } from '../../src/peers/peer-network.js';
import { passedContext } from '../../src/routing/passed-context.js';
import { type Forwarder } from '../../src/routing/forwarder.js';
import { TableRouter } from '../../src/routing/table-router.js';
import { type RunningTable, TableRegistry } from '../../src/tables/table-registry.js';
import { openNode, SELF, type NodeOnDisk } from './node-on-disk.js';

const FAR_MS = 60_000;

/** A stream that is under way. */
export interface OpenStream {
  readonly messages: Buffer[];
  readonly ended: Promise<void>;
  cancel(): void;
  /** Whether the reader takes nothing; `release` lets it go on. */
  hold(): () => void;
}

export class FeedNode {
  readonly catalog: Catalog;
  readonly registry: TableRegistry;
  readonly feed: FeedService;
  private readonly handlers = new Map<string, StreamHandler>();

  private constructor(
    readonly node: NodeOnDisk,
    forwarder: Forwarder,
  ) {
    const { runtime, engine } = node;
    this.registry = new TableRegistry(runtime, engine, (error) => {
      throw error;
    });
    this.catalog = new Catalog(runtime, engine, [SELF]);
    this.catalog.onChange((changes) => {
      for (const change of changes) {
        if (change.kind !== 'table') continue;
        this.registry.follow(change.goesOn ? undefined : change.before, change.now);
      }
    });
    const network = { isAlive: () => true, isDraining: () => false } as unknown as PeerNetwork;
    const router = new TableRouter(runtime, this.catalog, this.registry, network, forwarder);
    this.feed = new FeedService(runtime, this.catalog, this.registry, router);
    this.feed.register({
      register: (path: string, _: string, handler: StreamHandler) => {
        this.handlers.set(path, handler);
      },
    } as never);
  }

  static async open(forwarder?: Partial<Forwarder>): Promise<FeedNode> {
    const opened = new FeedNode(await openNode(), forwarder as Forwarder);
    const { catalog } = opened;
    await catalog.group.leaderKnown(catalog.deadline(FAR_MS));
    return opened;
  }

  /** On this node, or on another one that there is not. */
  async create(name: string, replicas: readonly number[] = [SELF]): Promise<RunningTable> {
    const { sequence } = this.catalog.state;
    const row = newRow(name, nextTableId(sequence), [...replicas], replicas[0] ?? SELF);
    const { command } = createCommand(row, sequence);
    await this.catalog.propose(command, this.catalog.deadline(FAR_MS));
    const table = this.registry.get(Number(row.id));
    if (!table) return undefined as never;
    // Its leader has written the entry of its term, so that nothing is added but by the test.
    await table.group.readBarrier(this.catalog.deadline(FAR_MS));
    return table;
  }

  /** On this node. */
  async beginShadow(name: string): Promise<RunningTable> {
    const { sequence } = this.catalog.state;
    const shadow = { purpose: 'test', token: 1n, begunAtMs: 1n, filledAtMs: 0n };
    const row = { ...newRow(name, nextTableId(sequence), [SELF], SELF), shadow };
    const { command } = createCommand(row, sequence);
    await this.catalog.propose(command, this.catalog.deadline(FAR_MS));
    const table = this.registry.get(Number(row.id));
    if (!table) throw new Error(`the shadow of ${name} does not run`);
    await table.group.readBarrier(this.catalog.deadline(FAR_MS));
    return table;
  }

  async completeShadow(name: string, completeAt: number): Promise<void> {
    const { tables, shadows, sequence } = this.catalog.state;
    const shadow = shadows.get(name)?.stored;
    if (!shadow || !sequence) throw new Error(`there is no shadow of ${name}`);
    const rows = { shadow, replaced: tables.get(name)?.stored, sequence, completeAt };
    const { command } = completeCommand(rows);
    await this.catalog.propose(command, this.catalog.deadline(FAR_MS));
  }

  /** Returns the index of the entry. */
  async propose({ group }: RunningTable, command: Buffer): Promise<number> {
    return (await group.propose(command, this.catalog.deadline(FAR_MS))).index;
  }

  async delete(name: string): Promise<void> {
    const row = this.catalog.state.tables.get(name);
    if (!row) throw new Error(`there is no table ${name}`);
    await this.catalog.propose(deleteCommand(row.stored), this.catalog.deadline(FAR_MS));
  }

  /** Returns the index of the entry. */
  async put(table: RunningTable, key: string, value: string | Buffer = key): Promise<number> {
    const fields = {
      table: table.nameBytes,
      key: Buffer.from(key),
      value: Buffer.from(value),
      prevKv: false,
    };
    const command = hot.encodePutCommand(fields);
    return (await table.group.propose(command, this.catalog.deadline(FAR_MS))).index;
  }

  /** Deletes a key. Returns the index of the entry. */
  async remove(table: RunningTable, key: string): Promise<number> {
    const fields = { table: table.nameBytes, key: Buffer.from(key), prevKv: false, count: false };
    const command = hot.encodeDeleteRangeCommand({ ...fields, rangeEnd: Buffer.alloc(0) });
    return (await table.group.propose(command, this.catalog.deadline(FAR_MS))).index;
  }

  readLog(table: string, fields: Partial<feedV1.ReadLogRequest> = {}): OpenStream {
    const request = { table: Buffer.from(table), from: 1n, ...fields };
    return this.stream(
      READ_LOG,
      feedV1.ReadLogRequest.encode(feedV1.ReadLogRequest.fromPartial(request)).finish(),
    );
  }

  readTable(table: string, fields: Partial<feedV1.ReadTableRequest> = {}): OpenStream {
    const request = { table: Buffer.from(table), ...fields };
    return this.stream(
      READ_TABLE,
      feedV1.ReadTableRequest.encode(feedV1.ReadTableRequest.fromPartial(request)).finish(),
    );
  }

  watch(): OpenStream {
    return this.stream(WATCH_TABLES, new Uint8Array(0));
  }

  private stream(method: string, request: Uint8Array): OpenStream {
    const handler = this.handlers.get(method);
    if (!handler) throw new Error(`${method} is not served`);
    const abort = new AbortController();
    const call: CallContext = {
      ...passedContext(method, 0),
      deadline: undefined,
      signal: abort.signal,
      get cancelled() {
        return abort.signal.aborted;
      },
    };
    const messages: Buffer[] = [];
    let held: Promise<void> | undefined;
    const sink: MessageSink = {
      write: (message) => {
        messages.push(Buffer.from(message));
        return held;
      },
    };
    const ended = Promise.resolve(handler(Buffer.from(request), call, sink));
    return {
      messages,
      ended,
      cancel: () => abort.abort(),
      hold: () => {
        let release: () => void = () => undefined;
        held = new Promise((resolve) => (release = resolve));
        return () => {
          held = undefined;
          release();
        };
      },
    };
  }
}

type StreamHandler = (
  request: Buffer,
  call: CallContext,
  sink: MessageSink,
) => void | Promise<void>;
