import { hot, regattaV1 } from '@flotilla/proto';
import { describe, expect, it } from 'vitest';
import { TableHeader } from './table-header.js';

const NOTHING = { kvs: [], more: false, count: 0 };

/** The header as a client reads it. */
function received(header: hot.Header): regattaV1.ResponseHeader | undefined {
  return regattaV1.RangeResponse.decode(hot.encodeRangeResponse(header, NOTHING)).header;
}

describe('the header of a table', () => {
  it('is the same bytes for all reads until the term or the leader changes', () => {
    const group = { term: 3, leader: 1 };
    const header = new TableHeader(group, 10_001, 2);
    const first = header.ofRead();
    const at = { shardId: 10_001n, replicaId: 2n, revision: 0n };
    expect(received(first)).toEqual({ ...at, raftTerm: 3n, raftLeaderId: 1n });
    expect(header.ofRead()).toBe(first);
    group.leader = 0;
    expect(received(header.ofRead())).toEqual({ ...at, raftTerm: 3n, raftLeaderId: 0n });
    group.term = 4;
    expect(received(header.ofRead())).toEqual({ ...at, raftTerm: 4n, raftLeaderId: 0n });
    expect(received(first)?.raftTerm).toBe(3n);
  });

  it('of a write says its revision, and leaves that of reads alone', () => {
    const header = new TableHeader({ term: 1, leader: 1 }, 10_001, 1);
    const read = header.ofRead();
    expect(received(header.ofWrite(42))).toEqual({
      shardId: 10_001n,
      replicaId: 1n,
      revision: 42n,
      raftTerm: 1n,
      raftLeaderId: 1n,
    });
    expect(header.ofRead()).toBe(read);
    expect(received(read)?.revision).toBe(0n);
  });
});
