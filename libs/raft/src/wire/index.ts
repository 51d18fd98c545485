/** What nodes send to each other, as bytes. */
export { decodeFrame } from './frame-decoder.js';
export { encodeFrame, messageFrameBytes } from './frame-encoder.js';
export type { PassedAnswer, PassedCall, PeerFrame } from './peer-frame.js';
export { WireError, WireErrorCode } from './wire-error.js';
