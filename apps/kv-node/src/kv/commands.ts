/**
 * From a checked request to the bytes of its log command.
 *
 * The bytes are made once, straight from the fields of the request: the same ones are the log entry,
 * what peers get, and what is applied.
 */
import { hot } from '@flotilla/proto';

export const {
  encodePutCommand: putCommand,
  encodeDeleteRangeCommand: deleteRangeCommand,
  encodeTxnCommand: txnCommand,
} = hot;
