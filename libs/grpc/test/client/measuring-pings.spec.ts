/**
 * Clients of Go ping after each portion of DATA to measure the way to the server.
 */
import { once } from 'node:events';
import { type ClientHttp2Session } from 'node:http2';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CONTROL_FRAMES_BURST } from '../../src/http2/limits.js';
import { createNativeServer } from '../../src/native/server.js';
import { PATH, recordingLogger, registerEcho } from '../echo-service.js';
import { frame, openStream, rawSession } from '../raw-client.js';

const EMPTY = Buffer.alloc(0);
/** Some more than are let pass at once and while the test runs. */
const PINGS = CONTROL_FRAMES_BURST * 3;

async function sessionTo(): Promise<ClientHttp2Session> {
  const server = createNativeServer({ logger: recordingLogger(), keepaliveMinTimeMs: 0 });
  registerEcho(server);
  const { port = 0 } = await server.listen('http://127.0.0.1:0');
  onTestFinished(async () => void (await server.close()));
  return rawSession(port);
}

function ping(session: ClientHttp2Session): Promise<boolean> {
  return new Promise((resolve) => {
    if (session.destroyed || !session.ping((error) => resolve(error === null))) resolve(false);
  });
}

describe('pings', () => {
  it('that follow DATA one by one are no flood', async () => {
    const session = await sessionTo();
    const stream = openStream(session, PATH.chat);
    for (let count = 0; count < PINGS; count++) {
      const echoed = once(stream, 'data');
      stream.write(frame(EMPTY));
      await echoed;
      expect(await ping(session)).toBe(true);
    }
  });
}, 60_000);
