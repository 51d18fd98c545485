/**
 * A table is filled out of sight of three real nodes and takes a name over, while its clients read and write,
 * and while a node is killed. The test is the restore: it fills, breaks off, and goes on.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { createGrpcClient, GrpcStatusError } from '@flotilla/grpc';
import { type feedV1, regattaV1, shadowV1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster, waitUntil } from '../harness/cluster.js';
import { retried } from '../harness/retried.js';

const TABLE = 'restored';
const OLD_ROWS = 50;
const NEW_ROWS = 20_000;
const BATCH_ROWS = 500;
const KILLED_AT_BATCH = 15;
/** Above all revisions of the rows. */
const FLOOR = 5_000_000;
const CALL_MS = 30_000;
/** Batches fall out of the log, so that a fresh replica gets a snapshot. */
const SHORT_LOG = [
  '--raft.snapshot-entries=10',
  '--raft.compaction-overhead=5',
  '--replication.log-retention-bytes=0',
];

const v1 = shadowV1;
type GrpcClient = ReturnType<typeof createGrpcClient>;

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

let cluster: Cluster;
const clients = new Map<number, GrpcClient>();

/** A client that tries nothing twice. */
function plain(id: number): GrpcClient {
  const options = { reconnectMinMs: 50, reconnectMaxMs: 500 };
  const client = clients.get(id) ?? createGrpcClient(cluster.node(id).apiAddress, options);
  clients.set(id, client);
  return client;
}

async function call<Q, A>(
  id: number,
  path: string,
  [request, response]: readonly [Codec<Q>, Codec<A>],
  message: Q,
): Promise<A> {
  const bytes = request.encode(message).finish();
  return response.decode(await plain(id).unary(path, bytes, { deadlineMs: CALL_MS }));
}

const service = (method: string): string => `/flotilla.tables.v1.ShadowTables/${method}`;

const begin = (id: number): Promise<shadowV1.BeginShadowResponse> => {
  const request = v1.BeginShadowRequest.fromPartial({ table: TABLE, purpose: 'restore/e2e' });
  return call(id, service('Begin'), [v1.BeginShadowRequest, v1.BeginShadowResponse], request);
};

function range(
  id: number,
  fields: Partial<regattaV1.RangeRequest> = {},
): Promise<regattaV1.RangeResponse> {
  const everything = { key: Buffer.from('k'), rangeEnd: Buffer.from('l') };
  const table = Buffer.from(TABLE);
  const request = regattaV1.RangeRequest.fromPartial({ table, ...everything, ...fields });
  return call(
    id,
    '/regatta.v1.KV/Range',
    [regattaV1.RangeRequest, regattaV1.RangeResponse],
    request,
  );
}

async function put(id: number, key: string, value: string): Promise<number> {
  const [table, bytes] = [Buffer.from(TABLE), Buffer.from(value)];
  const request = { table, key: Buffer.from(key), value: bytes, prevKv: false };
  const codecs = [regattaV1.PutRequest, regattaV1.PutResponse] as const;
  return Number((await call(id, '/regatta.v1.KV/Put', codecs, request)).header?.revision);
}

const keyOf = (nth: number): string => `k${String(nth).padStart(6, '0')}`;
const revisionsOf = (nth: number) => ({ created: 1_000 + nth, changed: 100_000 + 2 * nth });

function row(nth: number): feedV1.Row {
  const { created, changed } = revisionsOf(nth);
  return {
    key: Buffer.from(keyOf(nth)),
    value: Buffer.from('new'),
    createRevision: BigInt(created),
    modRevision: BigInt(changed),
    version: 3n,
  };
}

/** Fills from where the shadow stands up to a batch; the note says which row comes next. */
async function fillOn(
  id: number,
  begun: shadowV1.BeginShadowResponse,
  lastBatch: number,
): Promise<void> {
  const { tableId = 0n, token = 0n } = begun.shadow ?? {};
  let next = begun.note.length > 0 ? Number(begun.note.toString()) : 0;
  for (let batch = Number(begun.batches) + 1; batch <= lastBatch; batch++) {
    const size = Math.min(BATCH_ROWS, NEW_ROWS - next);
    const rows = Array.from({ length: size }, (_, at) => row(next + at));
    next += size;
    const request = {
      tableId,
      token,
      batch: BigInt(batch),
      rows,
      note: Buffer.from(String(next)),
      commands: [],
    };
    const codecs = [v1.FillShadowRequest, v1.FillShadowResponse] as const;
    const { outcome } = await call(id, service('Fill'), codecs, request);
    expect(outcome).toBe(v1.FillShadowResponse_Outcome.WRITTEN);
  }
}

/** Reads again and again by one node; what is neither the old nor the new state is a finding. */
class Reader {
  readonly findings: string[] = [];
  reads = 0;
  private stopped = false;
  private readonly running: Promise<void>;

  constructor(
    private readonly id: number,
    private readonly linearizable: boolean,
  ) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      try {
        await this.look();
      } catch (error) {
        this.findings.push(`node ${this.id}: ${String(error)}`);
      }
      this.reads += 1;
      await sleep(5);
    }
  }

  private async look(): Promise<void> {
    const { linearizable } = this;
    const { kvs } = await range(this.id, { linearizable, limit: 20n });
    const values = new Set(kvs.map(({ value }) => value.toString()));
    if (kvs.length !== 20 || values.size !== 1) this.findings.push(`mixed: ${[...values].join()}`);
    const { count } = await range(this.id, { linearizable, countOnly: true });
    if (![OLD_ROWS, NEW_ROWS].includes(Number(count))) this.findings.push(`${count} pairs`);
  }
}

/** Writes again and again by one node: no write is refused, and revisions only grow. */
class Writer {
  readonly findings: string[] = [];
  writes = 0;
  last = 0;
  private stopped = false;
  private readonly running: Promise<void>;

  constructor(private readonly id: number) {
    this.running = this.run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (!this.stopped) {
      const begunMs = performance.now();
      try {
        const revision = await put(this.id, `w${this.id}`, String(this.writes));
        if (revision <= this.last) this.findings.push(`${revision} after ${this.last}`);
        this.last = revision;
      } catch (error) {
        const ms = `${begunMs.toFixed(0)} to ${performance.now().toFixed(0)} ms`;
        this.findings.push(`node ${this.id}: ${String(error)}, ${ms}, after ${this.last}`);
      }
      this.writes += 1;
    }
  }
}

async function expectRestored(id: number): Promise<void> {
  const pages = cluster.client(id).iterateRange({ table: TABLE, key: 'k', rangeEnd: 'l' });
  let nth = 0;
  for await (const { kvs } of pages) {
    for (const { key, value, createRevision, modRevision } of kvs) {
      const { created, changed } = revisionsOf(nth);
      expect([key.toString(), value.toString(), createRevision, modRevision]).toEqual([
        ...[keyOf(nth), 'new', created, changed],
      ]);
      nth += 1;
    }
  }
  expect(nth, `as node ${id} sees it`).toBe(NEW_ROWS);
}

describe('a table that is filled out of sight', () => {
  beforeAll(async () => {
    cluster = await Cluster.start(3, { flags: SHORT_LOG });
    await cluster.client().createTable(TABLE);
    for (let nth = 0; nth < OLD_ROWS; nth++) {
      await cluster.client().put({ table: TABLE, key: keyOf(nth), value: 'old' });
    }
  });
  afterAll(async () => {
    for (const client of clients.values()) client.close();
    await cluster.dispose();
  });

  it('takes its name over at one moment, with a node killed while it was filled', async () => {
    const first = await begin(1);
    const oldId = BigInt(await tableId());
    for (const reads of [1, 2]) {
      await waitUntil(`node ${reads} has the rows`, async () => {
        return Number((await range(reads, { countOnly: true })).count) === OLD_ROWS;
      });
    }
    const readers = [new Reader(1, false), new Reader(2, false)];
    await fillOn(1, first, KILLED_AT_BATCH);
    const broken = fillOn(1, { ...first, ...at(KILLED_AT_BATCH) }, NEW_ROWS / BATCH_ROWS).catch(
      (error: unknown) => expect(error).toBeInstanceOf(GrpcStatusError),
    );
    await cluster.node(3).kill();
    await broken;
    const resumed = await filledUp();
    readers.push(new Reader(1, true), new Reader(2, true));
    const writers = [1, 1, 2, 2].map((id) => new Writer(id));
    await sleep(500);

    const { tableId: id = 0n, token = 0n } = resumed.shadow ?? {};
    const request = { table: TABLE, tableId: id, token, revision: BigInt(FLOOR) };
    const codecs = [v1.CompleteShadowRequest, v1.CompleteShadowResponse] as const;
    const begunMs = performance.now();
    const done = await call(2, service('Complete'), codecs, { ...request, replacesTableId: oldId });
    console.log(`complete: ${begunMs.toFixed(0)} to ${performance.now().toFixed(0)} ms`);
    expect(done.outcome).toBe(v1.CompleteShadowResponse_Outcome.COMPLETED);
    expect(Number(done.revision)).toBeGreaterThanOrEqual(FLOOR);
    // What the node that was away has of the table is a part, until it has heard of the rest.
    await cluster.node(3).start();
    readers.push(new Reader(3, false), new Reader(3, true));
    await sleep(2_000);
    for (const one of [...readers, ...writers]) await one.stop();
    for (const { findings, last } of writers) {
      expect(findings).toEqual([]);
      expect(last).toBeGreaterThan(Number(done.revision));
    }
    for (const { findings, reads } of readers) {
      expect(findings).toEqual([]);
      expect(reads).toBeGreaterThan(0);
    }
    for (const each of cluster.ids) await expectRestored(each);
    expect(await put(3, 'later', '1')).toBeGreaterThan(Number(done.revision));
  });

  it('is the same after all nodes were restarted, and its revisions go on', async () => {
    const before = await put(1, 'later', '2');
    await Promise.all(cluster.ids.map((id) => cluster.node(id).kill()));
    await Promise.all(cluster.ids.map((id) => cluster.node(id).start()));
    const after = await retried(() => put(2, 'later', '3'));
    expect(after).toBeGreaterThan(before);
    for (const id of cluster.ids) await expectRestored(id);
  });

  it('comes to a fresh replica as it is', async () => {
    const added = await cluster.addNode(1, { replaces: 3 });
    await waitUntil('the new node holds the table', async () => {
      const placements = await cluster.placements(1);
      const placed = placements.find(({ table }) => table === TABLE);
      return placed?.movingFrom.length === 0 && placed.replicas.includes(BigInt(added));
    });
    await retried(() => expectRestored(added));
    expect(await retried(() => put(added, 'later', '4'))).toBeGreaterThan(FLOOR);
  });
});

const at = (batches: number) => ({
  batches: BigInt(batches),
  note: Buffer.from(String(batches * BATCH_ROWS)),
});

async function tableId(): Promise<string> {
  const tables = await cluster.client(1).listTables();
  return tables.find(({ name }) => name === TABLE)?.id ?? '0';
}

/** All batches, with a new Begin whenever one had no answer. */
function filledUp(): Promise<shadowV1.BeginShadowResponse> {
  return retried(async () => {
    const begun = await begin(2);
    expect(begun.outcome).toBe(v1.BeginShadowResponse_Outcome.RESUMED);
    expect(Number(begun.batches)).toBeGreaterThanOrEqual(KILLED_AT_BATCH);
    await fillOn(2, begun, NEW_ROWS / BATCH_ROWS);
    return begun;
  });
}
