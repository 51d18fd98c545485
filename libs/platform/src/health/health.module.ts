/**
 * Health for Nest: one registry for the whole app, and its routes on the REST server. The registry
 * is made outside, because resources that start before Nest register checks in it too.
 */
import { type DynamicModule, Module } from '@nestjs/common';
import { HealthController } from './health.controller.js';
import { HealthRegistry } from './health-registry.js';

@Module({})
export class PlatformHealthModule {
  static forRoot(registry: HealthRegistry): DynamicModule {
    const provider = { provide: HealthRegistry, useValue: registry };
    return {
      module: PlatformHealthModule,
      global: true,
      controllers: [HealthController],
      providers: [provider],
      exports: [provider],
    };
  }
}
