/**
 * The header of answers about one table, encoded anew only when what it says has changed.
 *
 * In: a table that runs here. Out: where an answer comes from, as clients of Regatta have it: for reads
 * with revision 0, the very same bytes for as long as term and leader stay. Nobody may change what is
 * given out.
 */
import { hot } from '@flotilla/proto';
import { type Group } from '@flotilla/raft';

export class TableHeader {
  private term = -1;
  private leader = -1;
  private read: Buffer = Buffer.alloc(0);

  constructor(
    private readonly group: Pick<Group<unknown>, 'term' | 'leader'>,
    private readonly tableId: number,
    private readonly nodeId: number,
  ) {}

  ofRead(): hot.Header {
    const { term, leader } = this.group;
    if (term !== this.term || leader !== this.leader) {
      this.term = term;
      this.leader = leader;
      this.read = hot.encodeHeader(this.ofWrite(0));
    }
    return this.read;
  }

  ofWrite(revision: number): hot.HeaderFields {
    const { term, leader } = this.group;
    return {
      shardId: this.tableId,
      replicaId: this.nodeId,
      revision,
      raftTerm: term,
      raftLeaderId: leader,
    };
  }
}
