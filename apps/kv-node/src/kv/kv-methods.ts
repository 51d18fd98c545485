/**
 * The methods of the KV API by path, and what sets the writes among them apart: how a checked request
 * becomes a command, and what was applied an answer. Nothing here decides where a call goes.
 */
import { type ApplyResult } from '@flotilla/mvcc';
import { type hot, type regattaV1 } from '@flotilla/proto';
import { type Answer } from '../routing/table-router.js';
import { type RunningTable } from '../tables/table-registry.js';
import { deleteRangeAnswer, putAnswer, txnAnswer } from './answers.js';
import { deleteRangeCommand, putCommand, txnCommand } from './commands.js';
import { checkKeySizes, checkPutSizes, checkTxnSizes } from './validation.js';

export const KV_SERVICE = 'regatta.v1.KV';

/** Methods that another node may pass on, by path. */
const path = (method: string): string => `/${KV_SERVICE}/${method}`;
export const RANGE = path('Range');
export const ITERATE_RANGE = path('IterateRange');
export const PUT = path('Put');
export const DELETE_RANGE = path('DeleteRange');
export const TXN = path('Txn');

/** What sets the kinds of writes apart once their requests are decoded. */
export interface WriteKind<R> {
  readonly method: string;
  readonly checkSizes: (request: R) => void;
  readonly command: (request: R) => Uint8Array;
  readonly answer: (head: hot.Header, result: ApplyResult) => Uint8Array;
}

export const PUTS: WriteKind<regattaV1.PutRequest> = {
  method: PUT,
  checkSizes: checkPutSizes,
  command: putCommand,
  answer: (head, { responses }) => putAnswer(head, responses),
};
export const RANGE_DELETES: WriteKind<regattaV1.DeleteRangeRequest> = {
  method: DELETE_RANGE,
  checkSizes: checkKeySizes,
  command: deleteRangeCommand,
  answer: (head, { responses }) => deleteRangeAnswer(head, responses),
};
export const TXNS: WriteKind<regattaV1.TxnRequest> = {
  method: TXN,
  checkSizes: checkTxnSizes,
  command: txnCommand,
  answer: txnAnswer,
};

/** `index` is that of the entry, which revisions may be ahead of. */
export function answerOf<R>(
  kind: WriteKind<R>,
  table: RunningTable,
  { result, index }: { readonly result: ApplyResult; readonly index: number },
): Answer {
  return { answer: kind.answer(table.header.ofWrite(result.revision), result), index };
}
