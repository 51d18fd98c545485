/**
 * The Cluster API: who the members are, and how this one stands.
 */
import { type regattaV1 } from '@flotilla/proto';
import { describeConfig, LOADED_CONFIG, type LoadedConfig } from '@flotilla/platform';
import { Controller, Inject } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { Catalog } from '../catalog/catalog.service.js';
import { type KvNodeConfig } from '../config/kv-node-config.js';
import { TableRegistry } from '../tables/table-registry.js';
import { VERSION } from '../version.js';
import { ReplicationStatus, type TableStanding } from './replication-status.js';

@Controller()
export class ClusterController {
  constructor(
    @Inject(LOADED_CONFIG) private readonly loaded: LoadedConfig<KvNodeConfig>,
    private readonly tables: TableRegistry,
    private readonly catalog: Catalog,
    private readonly replication: ReplicationStatus,
  ) {}

  @GrpcMethod('Cluster', 'MemberList')
  memberList(): regattaV1.MemberListResponse {
    const members = [...this.catalog.state.nodes.values()]
      .filter(({ state }) => state !== 'removed')
      .sort((a, b) => a.id - b.id)
      .map(({ id, name, raftAddress, clientUrl }) => ({
        id: String(id),
        name: name || String(id),
        peerURLs: [raftAddress],
        clientURLs: clientUrl === '' ? [] : [clientUrl],
      }));
    return { cluster: this.loaded.config.memberlist.clusterName, members };
  }

  @GrpcMethod('Cluster', 'Status')
  status(@Payload() request: regattaV1.StatusRequest): regattaV1.StatusResponse {
    return {
      id: String(this.loaded.config.raft.nodeId),
      version: `v${VERSION}`,
      info: `role=${this.replication.role} generation=${this.replication.generation}`,
      tables: Object.fromEntries(this.tableStatuses()),
      config: request.config ? this.describe() : undefined,
      errors: [],
    };
  }

  /** The settings under their names, and what this cluster is and how its copies stand under ours. */
  private describe(): Record<string, unknown> {
    const copies = this.replication.standings().filter(({ info }) => info.source !== undefined);
    return {
      role: this.replication.role,
      ...describeConfig(this.loaded),
      ...(copies.length > 0 && {
        'replication.tables': Object.fromEntries(
          copies.map((each) => [each.info.name, told(each)]),
        ),
      }),
    };
  }

  private *tableStatuses(): Iterable<[string, regattaV1.TableStatus]> {
    for (const { name, group } of this.tables.named()) {
      const { leader, term, appliedIndex } = group.status();
      const index = BigInt(appliedIndex);
      const fields = {
        logSize: 0n,
        dbSize: 0n,
        leader: leader === 0 ? '' : String(leader),
        raftIndex: index,
        raftTerm: BigInt(term),
        raftAppliedIndex: index,
      };
      yield [name, fields];
    }
  }
}

/** What is not known is left out. */
function told(standing: TableStanding): Record<string, unknown> {
  const { revision, leaderRevision, lagRevisions, lagMs, gateway, state, lastError } = standing;
  return {
    ...(revision !== undefined && { revision }),
    ...(leaderRevision !== undefined && { leader_revision: leaderRevision }),
    ...(lagRevisions !== undefined && { lag_revisions: lagRevisions }),
    ...(lagMs !== undefined && { lag_ms: lagMs }),
    gateway,
    state,
    last_error: lastError,
    snapshot_bytes: standing.snapshotBytes,
    received_bytes: standing.receivedBytes,
  };
}
