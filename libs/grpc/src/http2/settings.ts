/**
 * SETTINGS of both ends: what this end announces, and what the other end has said.
 *
 * Must never take a value that RFC 9113 forbids.
 */
import {
  ErrorCode,
  FRAME_SIZE_DEFAULT,
  FRAME_SIZE_LIMIT,
  HEADER_TABLE_SIZE_DEFAULT,
  Http2Error,
  protocolError,
  SettingId,
  WINDOW_DEFAULT,
  WINDOW_MAX,
} from './constants.js';

export interface Settings {
  headerTableSize: number;
  /** The smallest size of the last frame that named one: a table may shrink and grow in one frame. */
  headerTableSizeLeast: number;
  enablePush: boolean;
  /** Streams that the other end may have open; Infinity when it was not limited. */
  concurrentStreamsMax: number;
  initialWindowSize: number;
  frameSizeMax: number;
  headerListSizeMax: number;
}

export function defaultSettings(): Settings {
  return {
    headerTableSize: HEADER_TABLE_SIZE_DEFAULT,
    headerTableSizeLeast: HEADER_TABLE_SIZE_DEFAULT,
    enablePush: true,
    concurrentStreamsMax: Infinity,
    initialWindowSize: WINDOW_DEFAULT,
    frameSizeMax: FRAME_SIZE_DEFAULT,
    headerListSizeMax: Infinity,
  };
}

const SETTING_BYTES = 6;

/** The payload that announces what differs from the defaults. */
export function encodeSettings(entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * SETTING_BYTES);
  entries.forEach(([id, value], at) => {
    payload.writeUInt16BE(id, at * SETTING_BYTES);
    payload.writeUInt32BE(value, at * SETTING_BYTES + 2);
  });
  return payload;
}

/** Takes over what a payload says. Throws Http2Error. */
export function applySettings(settings: Settings, bytes: Buffer, from: number, to: number): void {
  if ((to - from) % SETTING_BYTES !== 0) {
    throw new Http2Error(ErrorCode.FrameSizeError, `SETTINGS of ${to - from} bytes`);
  }
  settings.headerTableSizeLeast = settings.headerTableSize;
  for (let at = from; at < to; at += SETTING_BYTES) {
    applySetting(settings, bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
  }
}

function applySetting(settings: Settings, id: number, value: number): void {
  switch (id) {
    case SettingId.HeaderTableSize:
      settings.headerTableSize = value;
      settings.headerTableSizeLeast = Math.min(settings.headerTableSizeLeast, value);
      return;
    case SettingId.EnablePush:
      if (value > 1) throw protocolError(`SETTINGS_ENABLE_PUSH of ${value}`);
      settings.enablePush = value === 1;
      return;
    case SettingId.ConcurrentStreamsMax:
      settings.concurrentStreamsMax = value;
      return;
    case SettingId.InitialWindowSize:
      if (value > WINDOW_MAX) {
        const text = `SETTINGS_INITIAL_WINDOW_SIZE of ${value}`;
        throw new Http2Error(ErrorCode.FlowControlError, text);
      }
      settings.initialWindowSize = value;
      return;
    case SettingId.FrameSizeMax:
      if (value < FRAME_SIZE_DEFAULT || value > FRAME_SIZE_LIMIT) {
        throw protocolError(`SETTINGS_MAX_FRAME_SIZE of ${value}`);
      }
      settings.frameSizeMax = value;
      return;
    case SettingId.HeaderListSizeMax:
      settings.headerListSizeMax = value;
      return;
    default:
      // What is not known is ignored.
      return;
  }
}
