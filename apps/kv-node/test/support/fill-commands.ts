/**
 * Entries that fill a table and end that, as the log has them.
 */
import { mvccV1 } from '@flotilla/proto';

export interface FilledPair {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

export function fill(token: number, batch: number, pairs: readonly FilledPair[]): Buffer {
  const rows = pairs.map(({ key, value, createRevision, modRevision, version }) => ({
    key: Buffer.from(key),
    value: Buffer.from(value),
    createRevision: BigInt(createRevision),
    modRevision: BigInt(modRevision),
    version: BigInt(version),
  }));
  const note = Buffer.alloc(0);
  return sequence({
    fill: { token: BigInt(token), batch: BigInt(batch), rows, note, commands: [] },
  });
}

/** Without a token: of a table that serves. */
export function adopt(token: number | undefined, revision: number): Buffer {
  const adoption = { revision: BigInt(revision) };
  if (token === undefined) return sequence({ adoption });
  return sequence({ adoption: { ...adoption, token: BigInt(token) } });
}

function sequence(fields: Partial<mvccV1.Command>): Buffer {
  const type = mvccV1.Command_CommandType.SEQUENCE;
  const command = { ...mvccV1.Command.fromPartial({ type }), ...fields };
  return Buffer.from(mvccV1.Command.encode(command).finish());
}
