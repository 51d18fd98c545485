/**
 * Joins a `ServerCall` to the stream that grpc-js carries it on.
 *
 * In: frames, half-close and cancellation from below; headers, frames and status from above. Out:
 * the same, in each other's terms.
 *
 * Must never hold more of an answer than the stream's own buffer: a full one is reported upwards.
 */
import { type Metadata } from '@grpc/grpc-js';
import { constants, type ServerHttp2Stream } from 'node:http2';
import { ACCEPTED_ENCODINGS } from '../encoding/registry.js';
import { FrameDecoder, wholeFrame } from '../server/frames.js';
import { toWellFormed } from '../server/request-headers.js';
import { ServerCall, type CallHost, type CallStart, type CallWire } from '../server/server-call.js';
import { GrpcStatusError, status } from '../status.js';
import { ReceivedGrpcJsMetadata, toGrpcJsMetadata, toTrailers } from './metadata.js';
import { type FrameCall } from './runtime.js';

export interface StreamStart extends Omit<CallStart, 'metadata'> {
  /** Headers or data went out on the connection. */
  onSent(): void;
}

export function openCall(
  host: CallHost,
  frames: FrameCall,
  stream: ServerHttp2Stream,
  start: StreamStart,
): void {
  let call: ServerCall | undefined;
  frames.decoder = new FrameDecoder(host.receiveBytesMax, (messageBytes) => {
    const text = `grpc: received message larger than max (${messageBytes} vs. ${host.receiveBytesMax})`;
    call?.refuse(new GrpcStatusError(status.RESOURCE_EXHAUSTED, text));
  });
  frames.start({
    onReceiveMetadata(metadata: Metadata) {
      const wire = createWire(frames, stream, start);
      call = new ServerCall(host, wire, {
        method: start.method,
        metadata: new ReceivedGrpcJsMetadata(metadata),
        peer: start.peer,
        deadline: start.deadline,
        requestEncoding: start.requestEncoding,
        answerEncoding: start.answerEncoding,
      });
      call.begin();
    },
    onReceiveMessage: (frame) => call?.onFrame(frame),
    onReceiveHalfClose() {
      const { kind } = start.method.info;
      if (kind === 'unary' || kind === 'server-stream') {
        call?.onHalfClose();
      } else {
        // A stream that is cut reports its end first and the cut after that, and clients of
        // node:http2 cancel by an orderly end with a reset behind it. To take either for the end of
        // the messages would make a truncated upload a complete one.
        setImmediate(() => (stream.aborted ? call?.onCancel() : call?.onHalfClose()));
      }
    },
    onCancel: () => call?.onCancel(),
  });
}

function createWire(frames: FrameCall, stream: ServerHttp2Stream, start: StreamStart): CallWire {
  return {
    pull: () => frames.startRead(),
    sendHeaders(pairs) {
      const headers = toGrpcJsMetadata(pairs);
      headers.set('grpc-encoding', start.answerEncoding.name);
      headers.set('grpc-accept-encoding', ACCEPTED_ENCODINGS);
      start.onSent();
      frames.sendMetadata(headers);
    },
    sendFrame(frame, onWritable) {
      start.onSent();
      frames.sendMessage(wholeFrame(frame), () => undefined);
      if (!stream.writableNeedDrain) {
        return true;
      }
      stream.once('drain', onWritable);
      return false;
    },
    sendStatus(code, message, trailers) {
      start.onSent();
      frames.sendStatus({ code, details: toWellFormed(message), metadata: toTrailers(trailers) });
    },
    reset: () => stream.close(constants.NGHTTP2_CANCEL),
  };
}
