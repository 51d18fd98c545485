/** What every command of backups is given: a client of the maintenance app, and a printer. */
import type { Command } from 'commander';
import { Printer } from '../output/printer.js';
import { Writer } from '../output/writer.js';
import { globalsOf, withScheme } from '../settings.js';
import { BackupsClient } from './backups-client.js';

export interface BackupContext {
  readonly backups: BackupsClient;
  readonly printer: Printer;
}

/** The client is closed afterwards. */
export async function withBackups(
  command: Command,
  run: (context: BackupContext) => Promise<void>,
): Promise<void> {
  const globals = globalsOf(command);
  const { maintenance } = command.optsWithGlobals<{ maintenance: string }>();
  const backups = new BackupsClient(withScheme(maintenance), globals);
  try {
    await run({ backups, printer: new Printer(new Writer(process.stdout), globals) });
  } finally {
    backups.close();
  }
}
