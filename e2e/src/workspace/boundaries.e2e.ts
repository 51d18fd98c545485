/**
 * The rules of the house bite: each one is broken on purpose, and the linter has to say so.
 */
import { join } from 'node:path';
import { ESLint } from 'eslint';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../harness/node-process.js';

/** Files that exist, in whose place the planted text is linted. */
const CORE = 'libs/raft/src/core/errors.ts';
const TABLE = 'libs/mvcc/src/table/table-error.ts';
const GRPC = 'libs/grpc/src/errors.ts';
const PLATFORM = 'libs/platform/src/platform-error.ts';
const CHECKER = 'libs/linearizability/src/checker/operation.ts';
const NODE = 'apps/kv-node/src/version.ts';
const GATEWAY = 'apps/replication-gateway/src/version.ts';

const BOUNDARY = '@nx/enforce-module-boundaries';
const PLANTED: readonly (readonly [string, string, string, string])[] = [
  ['consensus imports Nest', CORE, "export * from '@nestjs/common';", BOUNDARY],
  ['consensus imports gRPC', CORE, "export * from '@grpc/grpc-js';", BOUNDARY],
  ['consensus imports the version store', CORE, "export * from '@flotilla/mvcc';", BOUNDARY],
  ['the version store imports consensus', TABLE, "export * from '@flotilla/raft';", BOUNDARY],
  ['the version store imports gRPC', TABLE, "export * from '@flotilla/grpc';", BOUNDARY],
  ['the transport imports a product', GRPC, "export * from '@flotilla/proto';", BOUNDARY],
  ['the transport imports Nest', GRPC, "export * from '@nestjs/common';", BOUNDARY],
  ['the checker imports what it checks', CHECKER, "export * from '@flotilla/mvcc';", BOUNDARY],
  [
    'a node imports a library for tests',
    NODE,
    "export * from '@flotilla/linearizability';",
    BOUNDARY,
  ],
  ['the platform imports consensus', PLATFORM, "export * from '@flotilla/raft';", BOUNDARY],
  [
    'a node imports the command line tool',
    NODE,
    "export * from '../../cli/src/program.js';",
    BOUNDARY,
  ],
  ['a gateway imports consensus', GATEWAY, "export * from '@flotilla/raft';", BOUNDARY],
  ['a gateway imports the version store', GATEWAY, "export * from '@flotilla/mvcc';", BOUNDARY],
  [
    'a library imports an app',
    PLATFORM,
    "export * from '../../../apps/kv-node/src/version.js';",
    BOUNDARY,
  ],
  ['a core reads a file', CORE, "export * from 'node:fs';", 'no-restricted-imports'],
  ['a core reads the clock', CORE, 'export const now = Date.now();', 'no-restricted-properties'],
  [
    'the checker reads the clock',
    CHECKER,
    'export const t = Date.now();',
    'no-restricted-properties',
  ],
  ['a core draws lots', TABLE, 'export const x = Math.random();', 'no-restricted-properties'],
  ['a core sets a timer', CORE, 'setTimeout(() => undefined, 1);', 'no-restricted-globals'],
  ['a core waits', TABLE, 'export async function f() { return 1; }', 'no-restricted-syntax'],
  [
    'a core makes a promise',
    CORE,
    'export const p = new Promise(() => 1);',
    'no-restricted-syntax',
  ],
  ['an enum', NODE, 'export enum Color { Red }', 'no-restricted-syntax'],
  ['a default export', NODE, 'export default 1;', 'no-restricted-syntax'],
  ['any', NODE, 'export const x: any = 1;', '@typescript-eslint/no-explicit-any'],
  [
    'a promise that nobody waits for',
    NODE,
    'async function f() { return 1; }\nf();',
    '@typescript-eslint/no-floating-promises',
  ],
  [
    'a non-null assertion',
    NODE,
    'export const f = (x?: string) => x!.length;',
    '@typescript-eslint/no-non-null-assertion',
  ],
];

describe('the linter', () => {
  let eslint: ESLint;
  beforeAll(() => {
    // Otherwise, on a CI machine, types are taken from the files on disk and not from the text.
    process.env['TSESTREE_SINGLE_RUN'] = 'false';
    eslint = new ESLint({ cwd: ROOT });
  });

  it.each(PLANTED)('refuses it when %s', async (_what, file, text, rule) => {
    const [result] = await eslint.lintText(`${text}\n`, { filePath: join(ROOT, file) });
    const rules = result?.messages.map(({ ruleId }) => ruleId);
    expect(rules).toContain(rule);
  });
});
