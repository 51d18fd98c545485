/**
 * Answers as a person or a program wants them: etcdctl's simple lines, a table, or JSON with
 * base64 for keys and values.
 */
import Table from 'cli-table3';
import type { Header, KeyValue } from '@flotilla/client';
import { printable } from '../bytes.js';
import type { GlobalOptions } from '../settings.js';
import type { Writer } from './writer.js';

/** A header as JSON has it; a revision of 0 says nothing and is left out. */
export function headerJson(header: Header): object {
  const { shardId, replicaId, revision, raftTerm, raftLeaderId } = header;
  return {
    shard_id: shardId,
    replica_id: replicaId,
    ...(revision > 0 && { revision }),
    raft_term: raftTerm,
    raft_leader_id: raftLeaderId,
  };
}

export function keyValueJson(pair: KeyValue, keysOnly = false): object {
  return {
    key: pair.key.toString('base64'),
    ...(pair.createRevision > 0 && { create_revision: pair.createRevision }),
    ...(pair.modRevision > 0 && { mod_revision: pair.modRevision }),
    ...(!keysOnly && { value: pair.value.toString('base64') }),
  };
}

export class Printer {
  constructor(
    readonly out: Writer,
    readonly options: Pick<GlobalOptions, 'writeOut' | 'hex'>,
  ) {}

  get format(): GlobalOptions['writeOut'] {
    return this.options.writeOut;
  }

  bytes(value: Buffer): string | Buffer {
    return printable(value, this.options.hex);
  }

  async json(value: unknown): Promise<void> {
    await this.out.line(JSON.stringify(value));
  }

  async table(head: string[], rows: readonly (readonly string[])[]): Promise<void> {
    const table = new Table({ head, style: { head: [], border: [] } });
    for (const row of rows) table.push([...row]);
    await this.out.line(table.toString());
  }

  /** Key and value on a line each, or one of them. */
  async pair(pair: KeyValue, part: 'both' | 'key' | 'value' = 'both'): Promise<void> {
    if (part !== 'value') await this.out.line(this.bytes(pair.key));
    if (part !== 'key') await this.out.line(this.bytes(pair.value));
  }

  pairRow(pair: KeyValue): string[] {
    return [
      this.bytes(pair.key).toString(),
      this.bytes(pair.value).toString(),
      String(pair.createRevision),
      String(pair.modRevision),
    ];
  }
}

export const PAIR_HEAD = ['KEY', 'VALUE', 'CREATE REVISION', 'MOD REVISION'];
