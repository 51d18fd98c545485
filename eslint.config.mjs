// What every file is held to: types, module boundaries by layer, and the purity of the cores.
import eslint from '@eslint/js';
import nx from '@nx/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Who may import whom. A tag that is not named here may import nothing of the workspace. */
const BOUNDARIES = [
  { sourceTag: 'layer:lib', onlyDependOnLibsWithTags: ['layer:lib'] },
  { sourceTag: 'layer:app', onlyDependOnLibsWithTags: ['layer:lib'] },
  { sourceTag: 'layer:e2e', onlyDependOnLibsWithTags: ['layer:lib'] },
  { sourceTag: 'layer:bench', onlyDependOnLibsWithTags: ['layer:lib', 'layer:e2e'] },
  { sourceTag: 'layer:sim', onlyDependOnLibsWithTags: ['layer:lib', 'layer:app'] },
  {
    sourceTag: 'scope:raft',
    onlyDependOnLibsWithTags: ['scope:raft'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*', '@willsoto/*'],
  },
  {
    sourceTag: 'scope:mvcc',
    onlyDependOnLibsWithTags: ['scope:mvcc', 'scope:proto'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*', '@willsoto/*'],
  },
  {
    sourceTag: 'scope:linearizability',
    onlyDependOnLibsWithTags: ['scope:linearizability'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*', '@willsoto/*'],
  },
  {
    sourceTag: 'scope:proto',
    onlyDependOnLibsWithTags: ['scope:proto'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*'],
  },
  {
    sourceTag: 'scope:grpc',
    onlyDependOnLibsWithTags: ['scope:grpc'],
    bannedExternalImports: ['@nestjs/*'],
  },
  { sourceTag: 'scope:platform', onlyDependOnLibsWithTags: ['scope:platform', 'scope:grpc'] },
  {
    sourceTag: 'scope:client',
    onlyDependOnLibsWithTags: ['scope:client', 'scope:grpc', 'scope:proto'],
  },
  {
    sourceTag: 'scope:kv-node',
    onlyDependOnLibsWithTags: [
      'scope:grpc',
      'scope:mvcc',
      'scope:platform',
      'scope:proto',
      'scope:raft',
    ],
  },
  {
    sourceTag: 'scope:replication-gateway',
    onlyDependOnLibsWithTags: ['scope:grpc', 'scope:platform', 'scope:proto'],
  },
  {
    sourceTag: 'scope:object-store',
    onlyDependOnLibsWithTags: ['scope:object-store'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*', '@willsoto/*'],
  },
  {
    sourceTag: 'scope:backup',
    onlyDependOnLibsWithTags: ['scope:backup', 'scope:object-store', 'scope:proto'],
    bannedExternalImports: ['@nestjs/*', '@grpc/*', '@willsoto/*'],
  },
  {
    sourceTag: 'scope:maintenance',
    onlyDependOnLibsWithTags: [
      'scope:backup',
      'scope:grpc',
      'scope:object-store',
      'scope:platform',
      'scope:proto',
    ],
  },
  {
    sourceTag: 'scope:sim',
    onlyDependOnLibsWithTags: [
      'scope:grpc',
      'scope:kv-node',
      'scope:mvcc',
      'scope:platform',
      'scope:proto',
      'scope:raft',
    ],
  },
  {
    sourceTag: 'scope:cli',
    onlyDependOnLibsWithTags: ['scope:backup', 'scope:client', 'scope:grpc', 'scope:proto'],
  },
  {
    sourceTag: 'scope:e2e',
    onlyDependOnLibsWithTags: [
      'scope:client',
      'scope:grpc',
      'scope:linearizability',
      'scope:object-store',
      'scope:proto',
    ],
  },
  {
    sourceTag: 'scope:bench',
    onlyDependOnLibsWithTags: [
      'scope:bench',
      'scope:client',
      'scope:e2e',
      'scope:grpc',
      'scope:proto',
    ],
  },
];

const PURE_CORES = [
  'libs/raft/src/core/**/*.ts',
  'libs/mvcc/src/table/**/*.ts',
  'libs/raft/src/host/**/*.ts',
  'libs/linearizability/src/checker/**/*.ts',
  'libs/linearizability/src/models/**/*.ts',
];

const PURE_MESSAGE = 'a pure core has no IO, clock, timer, promise or random source: use a port';

/** What a simulation runs as it is, or could: time and chance come from a clock port alone. */
const SIMULATED = [
  'apps/kv-node/src/node-core.ts',
  ...[
    'catalog',
    'cluster',
    'feed',
    'follower',
    'kv',
    'node',
    'peers',
    'placement',
    'routing',
    'snapshots',
    'tables',
  ].map((folder) => `apps/kv-node/src/${folder}/**/*.ts`),
  'apps/replication-gateway/src/follower/**/*.ts',
];
const REAL_TRANSPORT = [
  'apps/kv-node/src/follower/leader-client.ts',
  'apps/kv-node/src/peers/peer-link.ts',
];
const TIMERS = ['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask'];
const CLOCKS = [
  { object: 'Date', property: 'now' },
  { object: 'performance', property: 'now' },
  { object: 'Math', property: 'random' },
];
const CLOCK_MESSAGE = 'time comes from a port: ask the clock (node-clock.ts, gateway-clock.ts)';

const restrictedSyntax = [
  { selector: 'TSEnumDeclaration', message: 'use an `as const` object' },
  { selector: 'ExportDefaultDeclaration', message: 'use a named export' },
];

export default defineConfig(
  {
    ignores: [
      '**/dist/**',
      '**/test-results/**',
      '**/node_modules/**',
      '**/generated/**',
      '.nx/**',
    ],
  },
  eslint.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        // One program for all: each of the projects' own would read most of the workspace again.
        project: 'tsconfig.lint.json',
        tsconfigRootDir: import.meta.dirname,
      },
    },
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        { allow: [], enforceBuildableLibDependency: false, depConstraints: BOUNDARIES },
      ],
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-redeclare': 'off',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      'no-restricted-syntax': ['error', ...restrictedSyntax],
      'max-lines': ['error', { max: 800 }],
    },
  },
  {
    // Dependency injection reads constructor types at run time: such imports must stay values.
    files: [
      'apps/kv-node/**/*.ts',
      'apps/maintenance/**/*.ts',
      'apps/replication-gateway/**/*.ts',
      'libs/platform/**/*.ts',
    ],
    rules: { '@typescript-eslint/consistent-type-imports': 'off' },
  },
  {
    files: PURE_CORES,
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['node:*', '@nestjs/*', '@grpc/*', '@flotilla/grpc'], message: PURE_MESSAGE },
          ],
        },
      ],
      'no-restricted-globals': [
        'error',
        ...[
          'setTimeout',
          'setInterval',
          'setImmediate',
          'queueMicrotask',
          'process',
          'console',
        ].map((name) => ({ name, message: PURE_MESSAGE })),
      ],
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: PURE_MESSAGE },
        { object: 'performance', property: 'now', message: PURE_MESSAGE },
        { object: 'Math', property: 'random', message: PURE_MESSAGE },
      ],
    },
  },
  {
    files: SIMULATED,
    ignores: [
      '**/*.spec.ts',
      '**/testing/**',
      'apps/kv-node/src/node/node-clock.ts',
      ...REAL_TRANSPORT,
    ],
    rules: {
      'no-restricted-globals': [
        'error',
        ...TIMERS.map((name) => ({ name, message: CLOCK_MESSAGE })),
      ],
      'no-restricted-properties': [
        'error',
        ...CLOCKS.map((each) => ({ ...each, message: CLOCK_MESSAGE })),
      ],
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: ['node:timers*', 'node:perf_hooks'], message: CLOCK_MESSAGE }] },
      ],
    },
  },
  {
    files: ['libs/raft/src/core/**/*.ts', 'libs/mvcc/src/table/**/*.ts'],
    ignores: ['**/*.spec.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        ...restrictedSyntax,
        { selector: ':function[async=true]', message: PURE_MESSAGE },
        { selector: "NewExpression[callee.name='Promise']", message: PURE_MESSAGE },
        { selector: "NewExpression[callee.name='Date']", message: PURE_MESSAGE },
        { selector: "MemberExpression[object.name='Promise']", message: PURE_MESSAGE },
      ],
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    languageOptions: {
      globals: Object.fromEntries(
        ['process', 'console', 'URL', 'Buffer', 'setTimeout', 'clearTimeout', 'performance'].map(
          (name) => [name, 'readonly'],
        ),
      ),
    },
  },
);
