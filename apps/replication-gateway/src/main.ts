/**
 * The program `replication-gateway`: reads its settings, serves, and stops on SIGINT or SIGTERM.
 *
 * Exit codes: 0 stopped cleanly, 1 could not start or stop, 2 bad settings, 70 crashed. A process
 * that started this one with an IPC channel is told `ready`, and it stops when that one goes away.
 */
import 'reflect-metadata';
import { createLogger, loadConfigOrExit, runApp } from '@flotilla/platform';
import { gatewaySchema } from './config/gateway-config.js';
import { createGateway } from './gateway.js';
import { VERSION } from './version.js';

const loaded = loadConfigOrExit(gatewaySchema(VERSION));
const { logLevel: level, devMode: pretty } = loaded.config;
const logger = createLogger({ service: 'replication-gateway', level, pretty });

const gateway = createGateway(loaded, logger);
const app = await runApp({
  lifecycle: gateway.lifecycle,
  logger,
  onStopping: (reason) => gateway.startDraining(reason),
});

if (gateway.addresses) {
  logger.info({ ...gateway.addresses }, 'serving');
  process.send?.({ type: 'ready', ...gateway.addresses });
  process.on('disconnect', () => void app.shutdown('the parent process is gone'));
}
