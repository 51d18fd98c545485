/**
 * The Nest side of a kv-node: controllers of the rarely called services, metrics, probes.
 *
 * What it serves was opened before (`kv-node.ts`) and is handed in; Nest opens and closes nothing.
 */
import {
  type HealthRegistry,
  type LoadedConfig,
  PlatformConfigModule,
  PlatformHealthModule,
  PlatformMetricsModule,
} from '@flotilla/platform';
import { type DynamicModule, Module } from '@nestjs/common';
import { Catalog } from './catalog/catalog.service.js';
import { ClusterChangesController } from './cluster/cluster-changes.controller.js';
import { ClusterChanges } from './cluster/cluster-changes.js';
import { ClusterController } from './cluster/cluster.controller.js';
import { ClusterOperator } from './cluster/cluster-operator.js';
import { ClusterView } from './cluster/cluster-view.js';
import { type NodeCluster } from './cluster/node-cluster.js';
import { ReplicationStatus } from './cluster/replication-status.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { Promotion } from './promotion/promotion.js';
import { TableAdmin } from './tables/table-admin.js';
import { TableRegistry } from './tables/table-registry.js';
import { TablesController } from './tables/tables.controller.js';
import { VERSION } from './version.js';

export interface AppParts {
  readonly loaded: LoadedConfig<KvNodeConfig>;
  readonly health: HealthRegistry;
  readonly cluster: NodeCluster;
}

@Module({})
export class AppModule {
  static forRoot(parts: AppParts): DynamicModule {
    const { loaded, health, cluster } = parts;
    const { catalog, tables, admin, view, operator, changes, replication, promotion } = cluster;
    const { enabled } = loaded.config.tables;
    return {
      module: AppModule,
      imports: [
        PlatformConfigModule.forRoot(loaded),
        PlatformHealthModule.forRoot(health),
        PlatformMetricsModule.forRoot({ service: 'kv-node', version: VERSION }),
      ],
      controllers: [
        ClusterController,
        ClusterChangesController,
        ...(enabled ? [TablesController] : []),
      ],
      providers: [
        { provide: Catalog, useValue: catalog },
        { provide: TableRegistry, useValue: tables },
        { provide: TableAdmin, useValue: admin },
        { provide: ClusterView, useValue: view },
        { provide: ClusterOperator, useValue: operator },
        { provide: ClusterChanges, useValue: changes },
        { provide: ReplicationStatus, useValue: replication },
        { provide: Promotion, useValue: promotion },
      ],
    };
  }
}
