/**
 * Measures a bare write, fdatasync and loopback round trip, one after the other, for a while.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { temporaryFolder } from '@flotilla/e2e/harness';
import { median } from './measurement.js';

const PROGRAM = resolve(import.meta.dirname, '../../dist/measure/floor-server.js');

/** The median of a round trip, in milliseconds. */
export async function floorP50Ms(bytes: number, seconds: number): Promise<number> {
  const folder = temporaryFolder('floor');
  const child = fork(PROGRAM, [join(folder, 'file'), String(bytes)]);
  const exited = once(child, 'exit');
  try {
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const times: number[] = [];
    const message = Buffer.alloc(bytes, 1);
    const untilMs = performance.now() + seconds * 1000;
    while (performance.now() < untilMs) {
      const sentMs = performance.now();
      socket.write(message);
      await once(socket, 'data');
      times.push(performance.now() - sentMs);
    }
    socket.destroy();
    return median(times);
  } finally {
    child.disconnect();
    await exited;
    rmSync(folder, { recursive: true, force: true });
  }
}
