/**
 * A table that is filled out of sight goes on from rows with commands of the log, while a node is killed. The
 * test is the restore: rows of a table of three real nodes as of one revision, the entries of its log after
 * that, under another name. What it gets has to be the table, with both revisions and the version of each pair.
 */
import { createGrpcClient, GrpcStatusError } from '@flotilla/grpc';
import { feedV1, mvccV1, regattaV1, shadowV1 as v1 } from '@flotilla/proto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../harness/cluster.js';
import { retried } from '../harness/retried.js';
import { type Draw, seeded } from '../harness/seeded.js';
import { tableHash } from '../harness/table-hash.js';

const SEED = Number(process.env['E2E_SEED'] ?? 20_261);
const [ORIGINAL, RESTORED] = ['original', 'restored'];
const KEYS = 60;
const WRITES_BEFORE = 300;
const WRITES_AFTER = 900;
const BATCH_ROWS = 20;
const BATCH_COMMANDS = 40;
const KILLED_AT_BATCH = 8;
const CALL_MS = 30_000;

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

async function streamed<Q, A>(
  path: string,
  [request, response]: readonly [Codec<Q>, Codec<A>],
  message: Q,
): Promise<A[]> {
  const answers: A[] = [];
  const bytes = request.encode(message).finish();
  for await (const each of plain(1).serverStream(path, bytes, { deadlineMs: CALL_MS })) {
    answers.push(response.decode(each));
  }
  return answers;
}

const shadows = (method: string): string => `/flotilla.tables.v1.ShadowTables/${method}`;
const feed = (method: string): string => `/flotilla.replication.v1.Feed/${method}`;

const begin = (id: number): Promise<v1.BeginShadowResponse> => {
  const request = v1.BeginShadowRequest.fromPartial({ table: RESTORED, purpose: 'restore/e2e' });
  return call(id, shadows('Begin'), [v1.BeginShadowRequest, v1.BeginShadowResponse], request);
};

/**
 * Puts, deletions of keys and ranges, and transactions that depend on what is there. Returns how many calls that
 * took: one without an answer is made once more, and may be in the log twice.
 */
async function write(count: number, draw: Draw): Promise<number> {
  const { Txn, Put, DeleteRange } = {
    Txn: [regattaV1.TxnRequest, regattaV1.TxnResponse] as const,
    Put: [regattaV1.PutRequest, regattaV1.PutResponse] as const,
    DeleteRange: [regattaV1.DeleteRangeRequest, regattaV1.DeleteRangeResponse] as const,
  };
  const table = Buffer.from(ORIGINAL);
  let calls = 0;
  const send = <Q, A>(path: string, codecs: readonly [Codec<Q>, Codec<A>], request: Q) =>
    retried(() => {
      calls++;
      return call(1, path, codecs, request);
    });
  for (let nth = 0; nth < count; nth++) {
    const [key, other] = [keyOf(draw(KEYS)), keyOf(draw(KEYS))];
    const value = Buffer.from(`${nth}`);
    const kind = draw(10);
    if (kind < 6) {
      await send('/regatta.v1.KV/Put', Put, { table, key, value, prevKv: false });
    } else if (kind < 8) {
      const rangeEnd = kind === 6 ? Buffer.alloc(0) : keyOf(draw(KEYS));
      const request = regattaV1.DeleteRangeRequest.fromPartial({ table, key, rangeEnd });
      await send('/regatta.v1.KV/DeleteRange', DeleteRange, request);
    } else {
      const put = { $case: 'requestPut', value: { key: other, value } } as const;
      const gone = { $case: 'requestDeleteRange', value: { key: other } } as const;
      const request = regattaV1.TxnRequest.fromPartial({
        table,
        compare: [{ key }],
        success: [{ request: put }],
        failure: [{ request: gone }, { request: { ...put, value: { key, value } } }],
      });
      await send('/regatta.v1.KV/Txn', Txn, request);
    }
  }
  return calls;
}

const keyOf = (nth: number): Buffer => Buffer.from(`k${String(nth).padStart(3, '0')}`);

async function readRows(): Promise<{ rows: feedV1.Row[]; revision: number }> {
  const request = feedV1.ReadTableRequest.fromPartial({
    table: Buffer.from(ORIGINAL),
    linearizable: true,
  });
  const codecs = [feedV1.ReadTableRequest, feedV1.TableChunk] as const;
  const chunks = await streamed(feed('ReadTable'), codecs, request);
  expect(chunks.at(-1)?.more).toBe(false);
  const revision = Number(chunks[0]?.position?.revision);
  return { rows: chunks.flatMap(({ rows }) => rows), revision };
}

/** The entries of the log from an index on, each with its revision. */
async function readCommands(from: number): Promise<Buffer[]> {
  const request = feedV1.ReadLogRequest.fromPartial({
    ...{ table: Buffer.from(ORIGINAL), from: BigInt(from), linearizable: true },
  });
  const codecs = [feedV1.ReadLogRequest, feedV1.LogChunk] as const;
  const chunks = await streamed(feed('ReadLog'), codecs, request);
  return chunks
    .flatMap(({ entries }) => entries)
    .filter(({ command }) => command.length > 0)
    .map(({ index, command }) => {
      const decoded = mvccV1.Command.decode(command);
      return Buffer.from(mvccV1.Command.encode({ ...decoded, leaderIndex: index }).finish());
    });
}

interface Batch {
  readonly rows: feedV1.Row[];
  readonly commands: Buffer[];
}

function cut(rows: feedV1.Row[], commands: Buffer[]): Batch[] {
  const batches: Batch[] = [];
  for (let at = 0; at < rows.length; at += BATCH_ROWS) {
    batches.push({ rows: rows.slice(at, at + BATCH_ROWS), commands: [] });
  }
  for (let at = 0; at < commands.length; at += BATCH_COMMANDS) {
    batches.push({ rows: [], commands: commands.slice(at, at + BATCH_COMMANDS) });
  }
  return batches;
}

/** From where the shadow stands on; the number of a batch is all there is to remember. */
async function fillOn(id: number, begun: v1.BeginShadowResponse, batches: Batch[]): Promise<void> {
  const { tableId = 0n, token = 0n } = begun.shadow ?? {};
  const codecs = [v1.FillShadowRequest, v1.FillShadowResponse] as const;
  for (const [at, content] of batches.entries()) {
    if (at < Number(begun.batches)) continue;
    const named = { tableId, token, batch: BigInt(at + 1), note: Buffer.alloc(0) };
    const { outcome } = await call(id, shadows('Fill'), codecs, { ...named, ...content });
    expect(outcome).toBe(v1.FillShadowResponse_Outcome.WRITTEN);
  }
}

describe('a table that is filled with rows and commands', () => {
  beforeAll(async () => {
    cluster = await Cluster.start(3);
    await cluster.client().createTable(ORIGINAL);
  });
  afterAll(async () => {
    for (const client of clients.values()) client.close();
    await cluster.dispose();
  });

  it(`is the table at the later revision, with a node killed in between (seed ${SEED})`, async () => {
    const draw = seeded(SEED);
    await write(WRITES_BEFORE, draw);
    const { rows, revision: backedUp } = await readRows();
    const calls = await write(WRITES_AFTER, draw);
    const commands = await readCommands(backedUp + 1);
    expect(commands.length).toBeGreaterThanOrEqual(WRITES_AFTER);
    expect(commands.length).toBeLessThanOrEqual(calls);
    const batches = cut(rows, commands);
    expect(batches.length).toBeGreaterThan(2 * KILLED_AT_BATCH);
    const expected = await tableHash(cluster.node(1).apiAddress, ORIGINAL);
    expect(expected.rows).toBeGreaterThan(0);

    const first = await begin(1);
    await fillOn(1, first, batches.slice(0, KILLED_AT_BATCH));
    const so = { ...first, batches: BigInt(KILLED_AT_BATCH) };
    const broken = fillOn(1, so, batches).catch((error: unknown) =>
      expect(error).toBeInstanceOf(GrpcStatusError),
    );
    await cluster.node(3).kill();
    await broken;
    const resumed = await retried(async () => {
      const begun = await begin(2);
      expect(begun.outcome).toBe(v1.BeginShadowResponse_Outcome.RESUMED);
      expect(Number(begun.batches)).toBeGreaterThanOrEqual(KILLED_AT_BATCH);
      await fillOn(2, begun, batches);
      return begun;
    });
    await cluster.node(3).start();

    const { tableId = 0n, token = 0n } = resumed.shadow ?? {};
    const named = { table: RESTORED, tableId, token, replacesTableId: 0n };
    const request = { ...named, revision: BigInt(expected.revision) };
    const codecs = [v1.CompleteShadowRequest, v1.CompleteShadowResponse] as const;
    const done = await retried(() => call(2, shadows('Complete'), codecs, request));
    expect(done.outcome).toBe(v1.CompleteShadowResponse_Outcome.COMPLETED);
    expect(Number(done.revision)).toBeGreaterThanOrEqual(expected.revision);
    for (const id of cluster.ids) {
      const found = await retried(() => tableHash(cluster.node(id).apiAddress, RESTORED));
      expect(found, `as node ${id} has it`).toEqual(expected);
    }
    const { header } = await cluster.client().put({ table: RESTORED, key: 'k', value: 'later' });
    expect(header?.revision).toBeGreaterThan(expected.revision);
  });
});
