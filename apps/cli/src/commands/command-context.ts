/**
 * What every command is given: its flags, a client, and a printer; the client is closed afterwards.
 */
import type { FlotillaClient } from '@flotilla/client';
import type { Command } from 'commander';
import { Printer } from '../output/printer.js';
import { Writer } from '../output/writer.js';
import { connect, globalsOf, type GlobalOptions } from '../settings.js';

export interface CommandContext {
  readonly client: FlotillaClient;
  readonly printer: Printer;
  readonly globals: GlobalOptions;
}

export async function withContext<T>(
  command: Command,
  run: (context: CommandContext) => Promise<T>,
): Promise<T> {
  const globals = globalsOf(command);
  const printer = new Printer(new Writer(process.stdout), globals);
  const client = connect(globals);
  try {
    return await run({ client, printer, globals });
  } finally {
    client.close();
  }
}
