/**
 * The Tables API: creates, deletes and lists tables, with the codes that clients of Regatta know.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type regattaV1 } from '@flotilla/proto';
import { Controller } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { Catalog } from '../catalog/catalog.service.js';
import { ReplicationStatus } from '../cluster/replication-status.js';
import { invalid, withStatus } from '../kv/errors.js';
import { TableAdmin } from './table-admin.js';
import { whyNameInvalid } from './table-name.js';

export const TABLES_SERVICE = 'regatta.v1.Tables';

@Controller()
export class TablesController {
  constructor(
    private readonly replication: ReplicationStatus,
    private readonly catalog: Catalog,
    private readonly admin: TableAdmin,
  ) {}

  @GrpcMethod('Tables', 'Create')
  async create(
    @Payload() request: regattaV1.CreateTableRequest,
  ): Promise<regattaV1.CreateTableResponse> {
    this.refuseInFollower('Create');
    const reason = whyNameInvalid(request.name);
    if (reason) throw invalid(reason);
    const outcome = await withStatus(this.admin.create(request.name));
    switch (outcome.kind) {
      case 'created':
        return { id: String(outcome.id) };
      case 'exists':
        throw invalid('table already exists');
      case 'contended':
        throw contended();
      case 'no-nodes':
        throw new GrpcStatusError(status.UNAVAILABLE, 'no node is active yet');
    }
  }

  @GrpcMethod('Tables', 'Delete')
  async delete(
    @Payload() request: regattaV1.DeleteTableRequest,
  ): Promise<regattaV1.DeleteTableResponse> {
    this.refuseInFollower('Delete');
    if (request.name === '') throw invalid('name must be set');
    const outcome = await withStatus(this.admin.delete(request.name));
    switch (outcome.kind) {
      case 'deleted':
        return {};
      case 'missing':
      case 'other-source':
        throw invalid('table not found');
      case 'contended':
        throw contended();
    }
  }

  @GrpcMethod('Tables', 'List')
  list(): regattaV1.ListTablesResponse {
    // In the order of names, as the rows lie in the catalog.
    const tables = [...this.catalog.state.tables.values()].sort((a, b) =>
      a.name < b.name ? -1 : 1,
    );
    return { tables: tables.map(({ id, name }) => ({ id: String(id), name, config: undefined })) };
  }

  /** Tables of a follower cluster come and go with those of its leader cluster. */
  private refuseInFollower(method: string): void {
    if (this.replication.role === 'leader') return;
    const text = `method ${method} not implemented for follower`;
    throw new GrpcStatusError(status.UNIMPLEMENTED, text);
  }
}

function contended(): GrpcStatusError {
  return new GrpcStatusError(status.UNAVAILABLE, 'tables change too fast, try again later');
}
