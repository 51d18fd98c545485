/**
 * The program `maintenance`: reads its settings, serves, and stops on SIGINT or SIGTERM.
 *
 * Exit codes: 0 stopped cleanly, 1 could not start or stop, 2 bad settings, 70 crashed. A process
 * that started this one with an IPC channel is told `ready`, and it stops when that one goes away.
 */
import 'reflect-metadata';
import { constants } from 'node:os';
import { createLogger, loadConfigOrExit, runApp, lowerProcessPriority } from '@flotilla/platform';
import { maintenanceSchema } from './config/maintenance-config.js';
import { MaintenanceApp } from './maintenance.js';
import { VERSION } from './version.js';

const loaded = loadConfigOrExit(maintenanceSchema(VERSION));
const { logLevel: level, devMode: pretty } = loaded.config;
const logger = createLogger({ service: 'maintenance', level, pretty });

try {
  // What is done here can wait; nodes on this machine, and whoever reads from them, cannot.
  lowerProcessPriority(constants.priority.PRIORITY_BELOW_NORMAL);
} catch (error) {
  logger.warn({ err: error }, 'the system does not let this process have a lower priority');
}

const maintenance = new MaintenanceApp(loaded, logger);
const app = await runApp({
  lifecycle: maintenance.lifecycle,
  logger,
  onStopping: (reason) => maintenance.startDraining(reason),
});

if (maintenance.addresses) {
  logger.info({ ...maintenance.addresses }, 'serving');
  process.send?.({ type: 'ready', ...maintenance.addresses });
  process.on('disconnect', () => void app.shutdown('the parent process is gone'));
}
