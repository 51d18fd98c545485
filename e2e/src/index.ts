/** Helpers of the end-to-end tests; the tests themselves are the *.e2e.ts files. */
export * from './harness/node-process.js';
export * from './harness/plain-client.js';
