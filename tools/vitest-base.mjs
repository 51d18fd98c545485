// What every project's Vitest run shares: workspace libraries are read from source, results are
// kept as JSON for the summary that `npm test` prints at the end.
import { defineConfig } from 'vitest/config';

// Those of Node and our own: what bundlers take under 'module' Node cannot always load.
const CONDITIONS = ['@flotilla/source', 'node', 'import', 'default'];

/** @param {import('vitest/config').ViteUserConfig['test']} [overrides] */
export function projectConfig(overrides = {}) {
  return defineConfig({
    resolve: { conditions: CONDITIONS },
    ssr: { resolve: { conditions: CONDITIONS } },
    test: {
      include: ['src/**/*.spec.ts', 'test/**/*.spec.ts'],
      environment: 'node',
      // A slow disk syncs twenty times a second: a test that hangs is what these are for.
      testTimeout: 120_000,
      hookTimeout: 120_000,
      expect: { poll: { timeout: 60_000 } },
      passWithNoTests: false,
      reporters: ['default', 'json'],
      outputFile: { json: 'test-results/vitest.json' },
      ...overrides,
    },
  });
}
