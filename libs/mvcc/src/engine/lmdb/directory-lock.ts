/**
 * One process at a time has the folder of a store open. LMDB allows many, recovery does not.
 *
 * In: a folder. Out: a lock that ends with the process, however it ends. Each opener listens on a
 * Unix socket under a name of its own in the folder, then calls the others: one that answers belongs
 * to somebody alive, one that does not is a leftover. Of two openers at least the later one sees the
 * other, so both may give up, but never do both go on. The Raft log locks its folder the same way.
 */
import { closeSync, openSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join, resolve } from 'node:path';
import { EngineError } from '../engine-error.js';

const FLAG_NAME = /^lock-(\d+)-\d+\.sock$/;
/** A longer path does not fit into a socket address on any platform we know. */
const SOCKET_PATH_BYTES_MAX = 100;

export class DirectoryLock {
  private constructor(
    private readonly server: Server,
    private readonly file: string,
    private readonly descriptor: number | undefined,
  ) {}

  static async take(folder: string): Promise<DirectoryLock> {
    const directory = resolve(folder);
    const name = `lock-${process.pid}-${process.hrtime.bigint()}.sock`;
    const isLong = Buffer.byteLength(join(directory, name)) > SOCKET_PATH_BYTES_MAX;
    // A long folder is reached through its open descriptor.
    const descriptor =
      isLong && process.platform === 'linux' ? openSync(directory, 'r') : undefined;
    const base = descriptor === undefined ? directory : `/proc/self/fd/${descriptor}`;
    let server: Server;
    try {
      server = await listen(join(base, name));
    } catch (error) {
      if (descriptor !== undefined) closeSync(descriptor);
      throw error;
    }
    const lock = new DirectoryLock(server, join(directory, name), descriptor);
    try {
      await removeLeftovers(directory, base, name);
    } catch (error) {
      await lock.release();
      throw error;
    }
    return lock;
  }

  async release(): Promise<void> {
    await new Promise((done) => this.server.close(done));
    await rm(this.file, { force: true });
    if (this.descriptor !== undefined) closeSync(this.descriptor);
  }
}

/** Throws where another flag is alive. */
async function removeLeftovers(directory: string, base: string, own: string): Promise<void> {
  for (const other of await readdir(directory)) {
    const pid = FLAG_NAME.exec(other)?.[1];
    if (pid === undefined || other === own) continue;
    if (await isAlive(join(base, other))) {
      throw new EngineError('ENGINE_LOCKED', `${directory} is in use by process ${pid}`);
    }
    await rm(join(directory, other), { force: true });
  }
}

function listen(path: string): Promise<Server> {
  return new Promise((fulfil, reject) => {
    const server = createServer((connection) => connection.destroy());
    server.unref();
    server.once('error', reject);
    server.listen({ path, exclusive: true }, () => {
      server.removeListener('error', reject);
      fulfil(server);
    });
  });
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((fulfil, reject) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      fulfil(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') fulfil(false);
      // A full backlog means that somebody listens.
      else if (error.code === 'EAGAIN') fulfil(true);
      else reject(error);
    });
  });
}
