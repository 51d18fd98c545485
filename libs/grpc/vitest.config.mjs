import { projectConfig } from '../../tools/vitest-base.mjs';

const base = projectConfig();

/** The conformance tests under `test/` run once for each transport. */
const conformance = (transport) => ({
  ...base,
  test: {
    ...base.test,
    name: transport,
    include: ['test/**/*.spec.ts'],
    env: { TRANSPORT_UNDER_TEST: transport },
  },
});

export default {
  ...base,
  test: {
    reporters: base.test.reporters,
    outputFile: base.test.outputFile,
    projects: [
      { ...base, test: { ...base.test, name: 'units', include: ['src/**/*.spec.ts'] } },
      conformance('native'),
      conformance('grpc-js'),
    ],
  },
};
