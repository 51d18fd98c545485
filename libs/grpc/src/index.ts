/**
 * The public face of the library.
 */
export * from './address.js';
export * from './bearer-auth.js';
export * from './client.js';
export { createGrpcClient } from './create-client.js';
export { createGrpcJsClient } from './grpc-js/client.js';
export { createGrpcJsServer } from './grpc-js/server.js';
export { createNativeClient } from './native/client.js';
export { createNativeServer } from './native/server.js';
export { type MessageEncoding } from './encoding/encoding.js';
export { gzip } from './encoding/gzip.js';
export { identity } from './encoding/identity.js';
export {
  createSnappyDecodeStream,
  createSnappyEncodeStream,
  snappy,
  SnappyFramedDecoder,
  SnappyFramedEncoder,
} from './encoding/snappy-framed.js';
export { zstd } from './encoding/zstd.js';
export * from './errors.js';
export * from './health.js';
export * from './keepalive.js';
export * from './metadata.js';
export * from './reflection.js';
export * from './status.js';
export * from './tls.js';
export * from './transport.js';
export * from './transports.js';
