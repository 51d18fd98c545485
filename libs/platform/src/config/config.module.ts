/**
 * Hands the loaded configuration to Nest: inject the app's configuration class itself, or
 * `LOADED_CONFIG` where the keys and sources are wanted. Loading happens before Nest starts.
 */
import { type DynamicModule, Module } from '@nestjs/common';
import type { LoadedConfig } from './load.js';

export const LOADED_CONFIG = Symbol('LOADED_CONFIG');

@Module({})
export class PlatformConfigModule {
  static forRoot<T extends object>(loaded: LoadedConfig<T>): DynamicModule {
    const providers = [
      { provide: LOADED_CONFIG, useValue: loaded },
      { provide: loaded.config.constructor, useValue: loaded.config },
    ];
    return { module: PlatformConfigModule, global: true, providers, exports: providers };
  }
}
