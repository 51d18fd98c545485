/**
 * `GET /snapshots-live/{table}` on the replication port: a whole table over HTTP/1.1, as followers of
 * Armada load it where there is no shared store.
 *
 *   connection --> one request --> framed snappy stream, made as it is read --> closed
 *                             \--> 404 for a table, or an object of the store, that is not there
 *
 * What breaks in the middle ends without the last chunk of the encoding: no client takes it for whole.
 */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { type Socket } from 'node:net';
import { GrpcStatusError, type MessageSink, status } from '@flotilla/grpc';
import { type Logger } from '@flotilla/platform';
import { type GatewayClock } from '../gateway-clock.js';
import { PacedSink } from './paced-sink.js';
import { type SnapshotWriter } from './snapshot-writer.js';

/** A request has a line and some headers; who takes longer over them has something else in mind. */
const REQUEST_MS = 10_000;
/** What a follower of Armada waits for a snapshot, unless it is told to wait longer. */
const SNAPSHOT_MS = 60 * 60_000;
const PIECE_BYTES = 256 * 1024;
const LIVE = '/snapshots-live/';
const STORED = '/snapshots/';

export class ArmadaLiveSnapshots {
  private readonly server: Server;

  constructor(
    private readonly writer: Pick<SnapshotWriter, 'write'>,
    private readonly clock: GatewayClock,
    private readonly logger: Pick<Logger, 'warn'>,
  ) {
    const answer: RequestListener = (request, response) => void this.answer(request, response);
    this.server = createServer(answer);
  }

  /** A connection that speaks HTTP/1.1; it is closed after one answer. */
  readonly accept = (socket: Socket): void => {
    const late = setTimeout(() => socket.destroy(), REQUEST_MS);
    const isInTime = (): void => clearTimeout(late);
    socket.once('close', isInTime);
    this.inTime.set(socket, isInTime);
    this.server.emit('connection', socket);
  };
  private readonly inTime = new WeakMap<Socket, () => void>();

  /** Never rejects: what goes wrong is an answer, or ends the connection. */
  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.inTime.get(request.socket)?.();
    response.on('error', () => undefined);
    // Not announced by a header: some clients take an answer that says so for whole when it breaks.
    response.once('finish', () => request.socket.end());
    try {
      const { pathname } = new URL(request.url ?? '', 'http://gateway');
      if (pathname.startsWith(LIVE)) {
        if (request.method !== 'GET') return refuse(response, 405, 'only GET is served here');
        const table = decodeURIComponent(pathname.slice(LIVE.length));
        await this.stream(Buffer.from(table), response);
      } else {
        const isStored = pathname.startsWith(STORED);
        refuse(response, 404, isStored ? 'shared snapshot store is not configured' : 'not found');
      }
    } catch (error) {
      this.fail(response, error);
    }
  }

  private async stream(table: Buffer, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    response.once('close', () => left.abort());
    const paced = new PacedSink(sinkOf(response), this.clock);
    const wanted = { table, since: undefined, pieceBytesMax: PIECE_BYTES };
    const options = { deadlineMs: this.clock.nowMs() + SNAPSHOT_MS, signal: left.signal };
    response.setHeader('content-type', 'application/octet-stream');
    await this.writer.write(wanted, options, (piece) => paced.send(piece));
    response.end();
  }

  private fail(response: ServerResponse, error: unknown): void {
    if (response.destroyed) return;
    if (error instanceof URIError) return refuse(response, 400, 'the path is malformed');
    const isExpected = error instanceof GrpcStatusError;
    if (!isExpected) this.logger.warn({ err: error }, 'a snapshot over HTTP failed');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    const code = isExpected ? (HTTP_CODES.get(error.code) ?? 500) : 500;
    refuse(response, code, isExpected ? error.message : 'internal error');
  }
}

const HTTP_CODES: ReadonlyMap<number, number> = new Map([
  [status.NOT_FOUND, 404],
  [status.INVALID_ARGUMENT, 400],
  [status.UNAVAILABLE, 503],
  [status.DEADLINE_EXCEEDED, 503],
]);

function refuse(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
}

/** As a sink of messages: what is written waits for its reader. */
function sinkOf(response: ServerResponse): MessageSink {
  return {
    write(bytes) {
      if (response.destroyed) throw gone();
      if (response.write(bytes)) return undefined;
      return new Promise((resolve, reject) => {
        const end = (): void => {
          response.removeListener('drain', drained);
          response.removeListener('close', closed);
        };
        const drained = (): void => {
          end();
          resolve();
        };
        const closed = (): void => {
          end();
          reject(gone());
        };
        response.once('drain', drained);
        response.once('close', closed);
      });
    },
  };
}

function gone(): GrpcStatusError {
  return new GrpcStatusError(status.CANCELLED, 'the reader is gone');
}
