/**
 * `replication.v1.Metadata`: the names of the tables that follower clusters are to have.
 *
 * A server of Regatta deletes every table that is not in the answer. So a gateway that does not know
 * says so: it never makes an empty list, or an old one, of not knowing.
 */
import { type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { replicationV1 } from '@flotilla/proto';
import { type TableDirectory } from '../nodes/table-directory.js';

export const METADATA_GET = '/replication.v1.Metadata/Get';

const { MetadataResponse, Table_Type } = replicationV1;

export class MetadataService {
  constructor(private readonly directory: Pick<TableDirectory, 'isKnown' | 'all'>) {}

  register(server: GrpcServer): void {
    server.register(METADATA_GET, 'unary', () => this.get());
  }

  private get(): Uint8Array {
    if (!this.directory.isKnown) {
      const text = 'unknown err no node has told which tables there are';
      throw new GrpcStatusError(status.UNAVAILABLE, text);
    }
    const type = Table_Type.REPLICATED;
    const tables = this.directory.all().map(({ name }) => ({ name, type }));
    return MetadataResponse.encode({ tables }).finish();
  }
}
