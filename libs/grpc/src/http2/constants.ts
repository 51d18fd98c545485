/**
 * The numbers of HTTP/2 (RFC 9113): frame types, flags, error codes, settings, and what holds before
 * anything is negotiated.
 */

export const FRAME_HEAD_BYTES = 9;

export const FrameType = {
  Data: 0,
  Headers: 1,
  Priority: 2,
  RstStream: 3,
  Settings: 4,
  PushPromise: 5,
  Ping: 6,
  GoAway: 7,
  WindowUpdate: 8,
  Continuation: 9,
} as const;

export const Flag = {
  Ack: 0x1,
  EndStream: 0x1,
  EndHeaders: 0x4,
  Padded: 0x8,
  Priority: 0x20,
} as const;

export const ErrorCode = {
  NoError: 0,
  ProtocolError: 1,
  InternalError: 2,
  FlowControlError: 3,
  SettingsTimeout: 4,
  StreamClosed: 5,
  FrameSizeError: 6,
  RefusedStream: 7,
  Cancel: 8,
  CompressionError: 9,
  ConnectError: 10,
  EnhanceYourCalm: 11,
  InadequateSecurity: 12,
  Http11Required: 13,
} as const;

export const SettingId = {
  HeaderTableSize: 1,
  EnablePush: 2,
  ConcurrentStreamsMax: 3,
  InitialWindowSize: 4,
  FrameSizeMax: 5,
  HeaderListSizeMax: 6,
} as const;

/** What a client says first. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const WINDOW_DEFAULT = 65_535;
export const WINDOW_MAX = 2 ** 31 - 1;
export const FRAME_SIZE_DEFAULT = 16_384;
export const FRAME_SIZE_LIMIT = 2 ** 24 - 1;
export const HEADER_TABLE_SIZE_DEFAULT = 4096;
export const STREAM_ID_MAX = 2 ** 31 - 1;

/** A breach of the protocol, or of a limit, that ends the connection, or one stream of it. */
export class Http2Error extends Error {
  override readonly name = 'Http2Error';

  /** `streamId` 0 ends the connection. */
  constructor(
    readonly code: number,
    message: string,
    readonly streamId = 0,
  ) {
    super(message);
  }
}

export function protocolError(message: string): Http2Error {
  return new Http2Error(ErrorCode.ProtocolError, message);
}
