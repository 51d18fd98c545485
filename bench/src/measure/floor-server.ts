/**
 * The least a durable put can cost: takes bytes on a socket, writes them, syncs, answers with a byte.
 *
 * The file is as long as it will be from the beginning, so that a sync writes the data alone.
 * Arguments: the file, and the bytes of one write.
 */
import { fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';

const FILE_BYTES = 8 * 1024 * 1024;

const [path = '', bytesText = ''] = process.argv.slice(2);
const bytes = Number(bytesText);
const file = openSync(path, 'w');
writeSync(file, Buffer.alloc(FILE_BYTES));
fsyncSync(file);

let at = 0;
const answer = Buffer.alloc(1);
const server = createServer((socket) => {
  socket.setNoDelay(true);
  let missing = bytes;
  socket.on('data', (chunk: Buffer) => {
    missing -= chunk.length;
    if (missing > 0) return;
    missing = bytes;
    if (at + bytes > FILE_BYTES) at = 0;
    at += writeSync(file, chunk.subarray(-bytes), 0, undefined, at);
    fdatasyncSync(file);
    socket.write(answer);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
process.on('disconnect', () => process.exit(0));
