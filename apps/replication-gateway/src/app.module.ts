/**
 * The Nest side of a gateway: metrics and probes.
 *
 * What it serves was opened before (`gateway.ts`) and is handed in; Nest opens and closes nothing.
 */
import {
  type HealthRegistry,
  type LoadedConfig,
  PlatformConfigModule,
  PlatformHealthModule,
  PlatformMetricsModule,
} from '@flotilla/platform';
import { type DynamicModule, Module } from '@nestjs/common';
import { type GatewayConfig } from './config/gateway-config.js';
import { VERSION } from './version.js';

export interface AppParts {
  readonly loaded: LoadedConfig<GatewayConfig>;
  readonly health: HealthRegistry;
}

@Module({})
export class AppModule {
  static forRoot({ loaded, health }: AppParts): DynamicModule {
    return {
      module: AppModule,
      imports: [
        PlatformConfigModule.forRoot(loaded),
        PlatformHealthModule.forRoot(health),
        PlatformMetricsModule.forRoot({ service: 'replication-gateway', version: VERSION }),
      ],
    };
  }
}
