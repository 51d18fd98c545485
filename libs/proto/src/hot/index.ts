/**
 * Hand-written codecs of the messages on the request path and in replication. They give and take what the generated
 * ones do, byte for byte and field for field, without what those make in between.
 */
export {
  encodeDeleteRangeCommand,
  encodePutCommand,
  encodeTxnCommand,
  type DeleteRangeFields,
  type PutFields,
} from './command-encoders.js';
export {
  completeTableChunk,
  decodeLogChunk,
  decodeTableChunk,
  encodeLogChunk,
  encodeTableChunk,
  type FeedEntry,
  type FeedLogChunk,
  type FeedLogPosition,
  type FeedRow,
  type FeedTableChunk,
  type FeedTablePosition,
  type PackedRows,
  type ReceivedEntry,
  type ReceivedRow,
  type ReceivedTableChunk,
  TABLE_CHUNK_HEAD_BYTES,
  TABLE_CHUNK_TAIL_BYTES,
} from './feed-codecs.js';
export {
  decodeFillCommand,
  decodeFillRequest,
  encodeFillCommand,
  encodeFillRequest,
  type FillRequestFields,
  type ReceivedBatch,
  type ReceivedFill,
} from './fill-codecs.js';
export { NO_ROWS, type FillRowFigures, type FillRows, type RowLook } from './fill-rows.js';
export { encodeHeader, type Header, type HeaderFields } from './header-encoder.js';
export {
  decodeLinkEntries,
  decodeLinkSnapshotChunk,
  encodeLinkEntries,
  encodeLinkSnapshotChunk,
  type LinkEntriesFields,
  type LinkSnapshotChunk,
  type ReceivedSnapshotChunk,
} from './link-codecs.js';
export { isOfOneCluster } from './own-commands.js';
export { decodeReplicateResponse, type ReplicateMessage } from './replication-decoders.js';
export {
  encodeReplicateCommands,
  encodeSnapshotEnd,
  encodeSnapshotPair,
  replicateCommandBytesMax,
} from './replication-encoders.js';
export {
  decodeDeleteRangeRequest,
  decodePutRequest,
  decodeRangeRequest,
} from './request-decoders.js';
export {
  encodeDeleteRangeResponse,
  encodePutResponse,
  encodePackedRangeResponse,
  encodeRangeResponse,
  encodeTxnResponse,
  type PackedPageFields,
  type PageFields,
  type RowFields,
} from './response-encoders.js';
export { decodeTxnRequest } from './txn-decoder.js';
export type { TxnFields } from './txn-encoder.js';
