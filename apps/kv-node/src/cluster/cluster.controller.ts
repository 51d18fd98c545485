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

@Controller()
export class ClusterController {
  constructor(
    @Inject(LOADED_CONFIG) private readonly loaded: LoadedConfig<KvNodeConfig>,
    private readonly tables: TableRegistry,
    private readonly catalog: Catalog,
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
      info: '',
      tables: Object.fromEntries(this.tableStatuses()),
      config: request.config
        ? { role: this.loaded.command, ...describeConfig(this.loaded) }
        : undefined,
      errors: [],
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
