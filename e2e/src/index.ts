/** What starts and watches real processes, for other projects; the tests are the *.e2e.ts files. */
export * from './harness/cli.js';
export * from './harness/cluster.js';
export * from './harness/delay-proxy.js';
export * from './harness/gateway-process.js';
export * from './harness/maintenance-process.js';
export * from './harness/node-process.js';
export * from './harness/plain-client.js';
export * from './harness/polling-follower.js';
