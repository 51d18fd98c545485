/** `flotilla txn`: a transaction from standard input. */
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { mvccV1 } from '@flotilla/proto';
import { headerJson, keyValueJson } from '../output/printer.js';
import type { Printer } from '../output/printer.js';
import { requireTable } from '../settings.js';
import { parseTxn } from '../txn-grammar.js';
import { withContext } from './command-context.js';

const HELP = `
Reads from standard input: compares, an empty line, operations if all of them hold, an empty
line, operations otherwise.

  value("config/mode") = "live"      also != < >
  exists("config/owner")

  put config/mode drain
  get config/ --prefix

  del config/owner
`;

export function addTxn(program: Command): void {
  program
    .command('txn')
    .description('compare, then do one of two lists of operations, atomically')
    .addHelpText('after', HELP)
    .action((_flags: unknown, command: Command) =>
      withContext(command, async ({ client, printer, globals }) => {
        const table = requireTable(globals);
        if (process.stdin.isTTY) process.stderr.write('compares, operations, operations:\n');
        const answer = await client.txn({ table, ...parseTxn(await text(process.stdin)) });
        if (printer.format === 'json') {
          const { header, succeeded, responses } = answer;
          const answers = responses.map(responseJson);
          await printer.json({ header: headerJson(header), succeeded, responses: answers });
          return;
        }
        await printer.out.line(answer.succeeded ? 'SUCCESS' : 'FAILURE');
        for (const { response } of answer.responses) await printResponse(printer, response);
      }),
    );
}

function pairOf(pair: mvccV1.KeyValue) {
  return {
    key: pair.key,
    value: pair.value,
    createRevision: Number(pair.createRevision),
    modRevision: Number(pair.modRevision),
  };
}

function responseJson({ response }: mvccV1.ResponseOp): object {
  switch (response?.$case) {
    case 'responseRange': {
      const { kvs, more, count } = response.value;
      const pairs = kvs.map((pair) => keyValueJson(pairOf(pair)));
      return { response_range: { kvs: pairs, more, count: Number(count) } };
    }
    case 'responsePut':
      return { response_put: {} };
    case 'responseDeleteRange':
      return { response_delete_range: { deleted: Number(response.value.deleted) } };
    case undefined:
      return {};
  }
}

async function printResponse(
  printer: Printer,
  response: mvccV1.ResponseOp['response'],
): Promise<void> {
  await printer.out.line('');
  switch (response?.$case) {
    case 'responseRange':
      for (const pair of response.value.kvs) await printer.pair(pairOf(pair));
      return;
    case 'responseDeleteRange':
      await printer.out.line(String(response.value.deleted));
      return;
    default:
      await printer.out.line('OK');
  }
}
