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
import { ClusterController } from './cluster/cluster.controller.js';
import { type KvNodeConfig } from './config/kv-node-config.js';
import { TableRegistry } from './tables/table-registry.js';
import { TablesController } from './tables/tables.controller.js';
import { VERSION } from './version.js';

export interface AppParts {
  readonly loaded: LoadedConfig<KvNodeConfig>;
  readonly health: HealthRegistry;
  readonly catalog: Catalog;
  readonly tables: TableRegistry;
}

@Module({})
export class AppModule {
  static forRoot({ loaded, health, catalog, tables }: AppParts): DynamicModule {
    const { enabled } = loaded.config.tables;
    return {
      module: AppModule,
      imports: [
        PlatformConfigModule.forRoot(loaded),
        PlatformHealthModule.forRoot(health),
        PlatformMetricsModule.forRoot({ service: 'kv-node', version: VERSION }),
      ],
      controllers: [ClusterController, ...(enabled ? [TablesController] : [])],
      providers: [
        { provide: Catalog, useValue: catalog },
        { provide: TableRegistry, useValue: tables },
      ],
    };
  }
}
