/**
 * The requests of a call, written as fast as the connection takes them.
 *
 * In: a source of messages. Out: writes on a call of grpc-js. The call's own queue counts messages,
 * however large; here bytes are counted, so that a source with large ones is held back in time.
 *
 * Must never pull from the source again once the call is over.
 */
import { type MessageSource } from '../client.js';
import { asBuffer } from '../encoding/encoding.js';

/** What may be handed to a call before the connection has taken it; one message may exceed it. */
export const WRITE_AHEAD_BYTES_MAX = 1024 * 1024;
/** And how many, however small. */
export const WRITE_AHEAD_MAX = 16;

type Ending = 'close' | 'status';

/** A call object that takes requests. */
export interface RequestSink {
  write(message: Buffer, written: () => void): boolean;
  end(): void;
  once(event: Ending, listener: () => void): unknown;
  removeListener(event: Ending, listener: () => void): unknown;
}

export async function writeMessages(call: RequestSink, requests: MessageSource): Promise<void> {
  let isOver = false;
  let aheadBytes = 0;
  let ahead = 0;
  let wake = (): void => undefined;
  const over = (): void => {
    isOver = true;
    wake();
  };
  call.once('close', over);
  call.once('status', over);
  try {
    for await (const request of requests) {
      if (isOver) {
        return;
      }
      const message = asBuffer(request);
      ahead += 1;
      aheadBytes += message.length;
      call.write(message, () => {
        ahead -= 1;
        aheadBytes -= message.length;
        wake();
      });
      while (!isOver && (ahead >= WRITE_AHEAD_MAX || aheadBytes > WRITE_AHEAD_BYTES_MAX)) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (isOver) {
        return;
      }
    }
    call.end();
  } finally {
    call.removeListener('close', over);
    call.removeListener('status', over);
  }
}
