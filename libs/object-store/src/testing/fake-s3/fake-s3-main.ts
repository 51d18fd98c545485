/**
 * The fake server as a process of its own, for tests that kill it.
 *
 * In: a folder, a port, the name of the bucket; who may sign in AWS_ACCESS_KEY_ID and
 * AWS_SECRET_ACCESS_KEY. Out: a message to the parent process once it serves. What it has acknowledged
 * is there again when it is started on the same folder. It ends with its parent.
 */
import { FakeS3Server } from './fake-s3-server.js';

const [folder, port, bucket] = process.argv.slice(2);
const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey } = process.env;

if (folder === undefined || port === undefined || bucket === undefined) {
  throw new Error('usage: fake-s3-main FOLDER PORT BUCKET');
}
if (accessKeyId === undefined || secretAccessKey === undefined) {
  throw new Error('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY have to be set');
}

process.on('disconnect', () => process.exit());
const server = new FakeS3Server({ bucket, accessKeyId, secretAccessKey, folder, seenMax: 0 });
await server.listen(Number(port));
process.send?.({ type: 'ready' });
