/**
 * The encoding that changes nothing.
 *
 * In and out: the same bytes, never a copy. Must never let through more than the limit either.
 */
import { asBuffer, encodingTooLarge, type MessageEncoding } from './encoding.js';

export const identity: MessageEncoding = {
  name: 'identity',
  compress: asBuffer,
  decompress(bytes, bytesMax) {
    if (bytes.byteLength > bytesMax) {
      throw encodingTooLarge('identity', bytesMax);
    }
    return asBuffer(bytes);
  },
};
