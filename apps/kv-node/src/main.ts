/**
 * The program `kv-node`: reads its settings, starts a node, and stops it on SIGINT or SIGTERM.
 *
 * `kv-node recover` works on the data of a node that does not run, and ends.
 *
 * Exit codes: 0 stopped cleanly, 1 could not start or stop, 2 bad settings, 70 crashed. A process
 * that started this one with an IPC channel is told `ready`, and the node stops when it goes away.
 */
import 'reflect-metadata';
import {
  createLogger,
  EXIT_CODES,
  HeapRoom,
  helperThreadsAdvice,
  loadConfigOrExit,
  runApp,
} from '@flotilla/platform';
import { kvNodeSchema } from './config/kv-node-config.js';
import { KvNode } from './kv-node.js';
import { runRecover } from './recover/run-recover.js';
import { VERSION } from './version.js';

const loaded = loadConfigOrExit(kvNodeSchema(VERSION));
const { config } = loaded;
if (loaded.command === 'recover') {
  process.exit(await runRecover(config, (line) => process.stdout.write(`${line}\n`)));
}
const logger = createLogger({ service: 'kv-node', level: config.logLevel, pretty: config.devMode });

// Nodes of a follower cluster take whole tables in: they keep Node's own number.
const advice = loaded.command === 'leader' ? helperThreadsAdvice() : undefined;
if (advice !== undefined) logger.info({}, advice);

const heapRoom = new HeapRoom();
const node = new KvNode(loaded, logger, {
  onFatal: (error) => {
    logger.error({ err: error, fatal: true }, 'the node cannot keep its promises: ending at once');
    process.exit(EXIT_CODES.crashed);
  },
  onStranger: (reason) => {
    logger.error({ reason }, 'the cluster does not take this node: ending');
    process.exit(EXIT_CODES.failed);
  },
  onBulk: () => heapRoom.narrow(),
});

const app = await runApp({
  lifecycle: node.lifecycle,
  logger,
  heapRoom,
  onStopping: (reason) => node.startDraining(reason),
});

if (node.addresses) {
  logger.info({ ...node.addresses }, 'serving');
  process.send?.({ type: 'ready', ...node.addresses });
  process.on('disconnect', () => void app.shutdown('the parent process is gone'));
}
