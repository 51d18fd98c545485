import { projectConfig } from '../../tools/vitest-base.mjs';

const base = projectConfig();

/** Of those under `test/`, what is mostly about the client, and differs from server to server. */
const CLIENT_TESTS = ['calls', 'keepalive', 'kinds'];

/** The conformance tests under `test/` run once for each server, and each client meets each server. */
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
const OF_CLIENTS = CLIENT_TESTS.map((name) => `test/${name}.spec.ts`);

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
      conformance('native-client', 'grpc-js', 'native', OF_CLIENTS),
      conformance('grpc-js-client', 'native', 'grpc-js', OF_CLIENTS),
    ],
  },
};
