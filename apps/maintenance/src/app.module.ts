/**
 * The Nest side of the app: metrics and probes, and `RunnerLease` for whatever wants to follow it.
 *
 * What it serves was opened before (`maintenance.ts`) and is handed in; Nest opens and closes nothing.
 */
import {
  type HealthRegistry,
  type LoadedConfig,
  type Logger,
  NestLogger,
  PlatformConfigModule,
  PlatformHealthModule,
  PlatformMetricsModule,
} from '@flotilla/platform';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { type MaintenanceConfig } from './config/maintenance-config.js';
import { RunnerLease } from './runner/runner-lease.js';
import { VERSION } from './version.js';

export interface AppParts {
  readonly loaded: LoadedConfig<MaintenanceConfig>;
  readonly health: HealthRegistry;
  readonly lease: RunnerLease;
}

@Module({})
export class AppModule {
  static forRoot({ loaded, health, lease }: AppParts): DynamicModule {
    return {
      module: AppModule,
      global: true,
      imports: [
        PlatformConfigModule.forRoot(loaded),
        PlatformHealthModule.forRoot(health),
        PlatformMetricsModule.forRoot({ service: 'maintenance', version: VERSION }),
      ],
      providers: [{ provide: RunnerLease, useValue: lease }],
      exports: [RunnerLease],
    };
  }
}

export type RestApp = NestFastifyApplication;

/** Ready to listen. */
export async function createRestApp(parts: AppParts, logger: Logger): Promise<RestApp> {
  const { rest } = parts.loaded.config;
  const app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot(parts),
    new FastifyAdapter({ requestTimeout: rest.readTimeoutMs }),
    { logger: new NestLogger(logger.child('nest')), abortOnError: false },
  );
  await app.init();
  return app;
}
