/**
 * Which HTTP a new connection speaks, where both versions are served on one port.
 *
 * In: a connection, or what a TLS client offers. Out: the one that it is for. Clients of gRPC speak
 * HTTP/2 and offer nothing else; whoever offers HTTP/1.1 as well has something else in mind. What was
 * read to find out is put back. Who says nothing is sent away.
 */
import { type Socket } from 'node:net';

/** No method of HTTP/1.1 begins like the preface of HTTP/2. */
const PREFACE_START = Buffer.from('PR');
/** How long a client may take over its first bytes. */
const FIRST_BYTES_MS = 10_000;

/** For TLS: of what the client offers; undefined refuses it. */
export function chooseProtocol({
  protocols,
}: {
  readonly protocols: readonly string[];
}): string | undefined {
  return ['http/1.1', 'h2'].find((protocol) => protocols.includes(protocol));
}

/** For plain connections: by their first bytes. */
export function tellApart(
  socket: Socket,
  onHttp2: (socket: Socket) => void,
  onHttp1: (socket: Socket) => void,
): void {
  const late = setTimeout(() => socket.destroy(), FIRST_BYTES_MS);
  const end = (): void => {
    clearTimeout(late);
    socket.removeListener('readable', look);
    socket.removeListener('close', end);
  };
  let seen = Buffer.alloc(0);
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    seen = Buffer.concat([seen, chunk]);
    if (seen.length < PREFACE_START.length) return;
    end();
    socket.unshift(seen);
    const serve = seen.subarray(0, PREFACE_START.length).equals(PREFACE_START) ? onHttp2 : onHttp1;
    serve(socket);
  };
  socket.on('readable', look);
  socket.on('close', end);
}
