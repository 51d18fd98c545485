/**
 * Logs of a store of texts, one EDN map a line.
 *
 * In: lines `{:process 0, :type :invoke, :f :append, :key "0", :value "x"}`. Out: operations on texts
 * with their key. `:fail` did not happen; `:info`, or no end at all, says that nobody knows. A line
 * that is not such a map must never be passed over.
 */
import { HistoryError, type Operation } from '../checker/operation.js';
import { type TextInput, type TextOutput } from '../models/text-model.js';
import { eachLine, Pairing } from './pairing.js';

export type KeyedTextInput = TextInput & { readonly key: string };

const TEXT = String.raw`"(?:[^"\\]|\\.)*"`;
const EVENT = new RegExp(
  String.raw`^\{:process (\d+), :type :(invoke|ok|fail|info), :f :(get|put|append), ` +
    String.raw`:key (${TEXT}), :value (nil|${TEXT})\}$`,
);

export function decodeKvLog(text: string): Operation<KeyedTextInput, TextOutput>[] {
  const pairing = new Pairing<KeyedTextInput, TextOutput>(undefined);
  eachLine(text, (line) => {
    const [, process, type, kind, key, value] = EVENT.exec(line) ?? [];
    if (key === undefined || value === undefined) {
      throw new HistoryError(`not an operation: "${line}"`);
    }
    const client = Number(process);
    if (type === 'invoke') pairing.call(client, inputOf(kind, textOf(key), value));
    else if (type === 'fail') pairing.dropped(client);
    else if (type === 'info') pairing.lost(client);
    else pairing.ok(client, (input) => outputOf(input, textOf(key), value));
  });
  return pairing.operations();
}

function inputOf(kind: string | undefined, key: string, value: string): KeyedTextInput {
  if (kind === 'put' || kind === 'append') return { kind, key, value: textOf(value) };
  return { kind: 'get', key };
}

function outputOf(input: KeyedTextInput, key: string, value: string): TextOutput {
  if (input.key !== key) throw new HistoryError(`ends a call of key "${input.key}" at "${key}"`);
  return input.kind === 'get' ? textOf(value) : undefined;
}

/** A text of EDN is written like one of JSON, as far as these logs go; nil is the empty text. */
function textOf(literal: string): string {
  if (literal === 'nil') return '';
  try {
    return String(JSON.parse(literal));
  } catch (cause) {
    throw new HistoryError(`not a text: ${literal}`, { cause });
  }
}
