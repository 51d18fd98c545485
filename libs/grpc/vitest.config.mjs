import { projectConfig } from '../../tools/vitest-base.mjs';

const base = projectConfig();

/**
 * The conformance tests under `test/` run once for each transport, client and server alike; pairs of two
 * makes are held against each other at random (`test/cross`).
 */
const conformance = (name, server, client, include) => ({
  ...base,
  test: {
    ...base.test,
    name,
    include,
    env: { TRANSPORT_UNDER_TEST: server, CLIENT_UNDER_TEST: client },
  },
});
const ALL = ['test/*.spec.ts'];

/** What chooses its servers and clients itself. */
const UNITS = [
  'src/**/*.spec.ts',
  ...['cross', 'client', 'http2'].map((each) => `test/${each}/*.spec.ts`),
];

export default {
  ...base,
  test: {
    reporters: base.test.reporters,
    outputFile: base.test.outputFile,
    projects: [
      { ...base, test: { ...base.test, name: 'units', include: UNITS } },
      conformance('native', 'native', 'native', ALL),
      conformance('grpc-js', 'grpc-js', 'grpc-js', ALL),
    ],
  },
};
