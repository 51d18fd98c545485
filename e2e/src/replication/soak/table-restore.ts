/**
 * What a restore does to a table: rows as they were at one moment take its name over, out of sight until they are
 * complete (`ShadowTables`).
 *
 * In: a cluster and a table. Out: the rows of before, and the table filled from them; what was written in between
 * is lost on purpose. Whatever fails on the way is thrown, and nothing is half done then.
 */
import { createGrpcClient, type GrpcClient } from '@flotilla/grpc';
import { feedV1, shadowV1 as v1 } from '@flotilla/proto';

const CALL_MS = 30_000;
const BATCH_ROWS = 100;

export interface TableBackup {
  readonly table: string;
  readonly revision: number;
  readonly rows: readonly feedV1.Row[];
}

interface Codec<T> {
  encode(message: T): { finish(): Uint8Array };
  decode(bytes: Uint8Array): T;
}

export async function readBackup(address: string, table: string): Promise<TableBackup> {
  const client = createGrpcClient(address);
  const request = { table: Buffer.from(table), linearizable: true };
  const bytes = feedV1.ReadTableRequest.encode(feedV1.ReadTableRequest.fromPartial(request));
  const rows: feedV1.Row[] = [];
  let revision = 0;
  let isWhole = false;
  try {
    const path = '/flotilla.replication.v1.Feed/ReadTable';
    for await (const message of client.serverStream(path, bytes.finish(), {
      deadlineMs: CALL_MS,
    })) {
      const chunk = feedV1.TableChunk.decode(message);
      if (chunk.position) revision = Number(chunk.position.revision);
      rows.push(...chunk.rows);
      isWhole = !chunk.more;
    }
  } finally {
    client.close();
  }
  if (!isWhole) throw new Error(`table ${table} was cut short`);
  return { table, revision, rows };
}

/** `replaces` is the id of the table that the name means now. */
export async function restore(
  address: string,
  { table, revision, rows }: TableBackup,
  purpose: string,
  replaces: string,
): Promise<void> {
  const client = createGrpcClient(address);
  try {
    const begun = await call(
      client,
      'Begin',
      [v1.BeginShadowRequest, v1.BeginShadowResponse],
      v1.BeginShadowRequest.fromPartial({ table, purpose, replace: true }),
    );
    const { tableId = 0n, token = 0n } = begun.shadow ?? {};
    for (let at = 0, batch = 1n; at < rows.length; at += BATCH_ROWS, batch++) {
      const part = rows.slice(at, at + BATCH_ROWS);
      const { outcome } = await call(
        client,
        'Fill',
        [v1.FillShadowRequest, v1.FillShadowResponse],
        v1.FillShadowRequest.fromPartial({ tableId, token, batch, rows: part }),
      );
      if (outcome !== v1.FillShadowResponse_Outcome.WRITTEN) throw new Error(`fill: ${outcome}`);
    }
    const { outcome } = await call(
      client,
      'Complete',
      [v1.CompleteShadowRequest, v1.CompleteShadowResponse],
      v1.CompleteShadowRequest.fromPartial({
        ...{ table, tableId, token, revision: BigInt(revision) },
        replacesTableId: BigInt(replaces),
      }),
    );
    const isDone = outcome === v1.CompleteShadowResponse_Outcome.COMPLETED;
    if (!isDone) throw new Error(`complete: ${outcome}`);
  } finally {
    client.close();
  }
}

async function call<Q, A>(
  client: GrpcClient,
  method: string,
  [request, answer]: readonly [Codec<Q>, Codec<A>],
  message: Q,
): Promise<A> {
  const path = `/flotilla.tables.v1.ShadowTables/${method}`;
  const bytes = request.encode(message).finish();
  return answer.decode(await client.unary(path, bytes, { deadlineMs: CALL_MS }));
}
