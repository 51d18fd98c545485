/** What the S3 adapter makes of a server, or a way to it, that is in trouble. */
import { afterEach, describe, expect, it } from 'vitest';
import { FAKE_PART_BYTES, type FakeS3, openFakeS3 } from '../testing/fake-s3/fixture.js';
import { type FakeRequestSeen, type FakeTrouble } from '../testing/fake-s3/fake-s3-server.js';
import { inPieces, patternOf, readBody } from '../testing/compliance/pieces.js';
import { readResuming } from '../transfer/resuming.js';
import { S3Store } from './s3-store.js';

const PREFIX = 'some/where/';

let fake: FakeS3 | undefined;

afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

async function open(...args: Parameters<typeof openFakeS3>): Promise<FakeS3> {
  fake = await openFakeS3(...args);
  return fake;
}

/** The trouble of the first requests that it speaks of. */
function once(
  isMeant: (request: FakeRequestSeen) => boolean,
  trouble: FakeTrouble,
  times = 1,
): (request: FakeRequestSeen) => FakeTrouble | undefined {
  let left = times;
  return (request) => {
    if (left === 0 || !isMeant(request)) return undefined;
    left -= 1;
    return trouble;
  };
}

const isPut = ({ method }: FakeRequestSeen): boolean => method === 'PUT';
const isComplete = ({ method, target }: FakeRequestSeen): boolean => {
  return method === 'POST' && target.includes('uploadId');
};

describe('an S3 store in trouble', () => {
  it.each<FakeTrouble>([
    { kind: 'refuse', status: 503, code: 'SlowDown' },
    { kind: 'refuse', status: 500, code: 'InternalError' },
    { kind: 'drop' },
    { kind: 'lose-answer' },
    { kind: 'damage' },
  ])('a write is tried again after: $kind $code', async (trouble) => {
    const { server, store } = await open();
    server.trouble = once(isPut, trouble, 2);
    const bytes = patternOf(FAKE_PART_BYTES * 3 + 1);
    await store.put('small', Buffer.from('x'));
    server.trouble = once(isPut, trouble, 2);
    await store.put('large', inPieces(bytes, 50_000));
    expect((await readBody(await store.get('large'))).equals(bytes)).toBe(true);
    expect((await readBody(await store.get('small'))).toString()).toBe('x');
    expect(server.bucket.uploads.size).toBe(0);
  });

  it('tries end after a bounded number, with an error that can be retried', async () => {
    const { server, store } = await open({}, { attemptsMax: 3 });
    server.trouble = () => ({ kind: 'refuse', status: 503, code: 'SlowDown' });
    const head = store.head('a');
    await expect(head).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
    expect(server.seen).toHaveLength(3);
  });

  it('a refusal is not tried again', async () => {
    const { server, store, settings } = await open();
    const stranger = new S3Store({
      ...settings,
      credentials: { accessKeyId: 'fake-access-key', secretAccessKey: 'wrong' },
    });
    const put = stranger.put('a', Buffer.from('x'));
    await expect(put).rejects.toMatchObject({ code: 'STORE_DENIED', retryable: false });
    expect(server.seen).toHaveLength(1);
    expect(server.bucket.objects.size).toBe(0);
    await stranger.close();
    const elsewhere = new S3Store({ ...settings, bucket: 'not-there' });
    const list = elsewhere.list('');
    await expect(list).rejects.toMatchObject({ code: 'STORE_INVALID' });
    await elsewhere.close();
    await store.put('a', Buffer.from('x'));
  });

  it('a conditional write whose answer was lost knows its own object', async () => {
    const { server, store } = await open({}, { conditionalWrites: 'yes' });
    server.trouble = once(isPut, { kind: 'lose-answer' });
    expect(await store.putIfAbsent('a', Buffer.from('one'))).toMatchObject({ sizeBytes: 3 });
    server.trouble = once(isPut, { kind: 'lose-answer' });
    const again = store.putIfAbsent('a', Buffer.from('two'));
    await expect(again).rejects.toMatchObject({ code: 'OBJECT_EXISTS' });
    expect((await readBody(await store.get('a'))).toString()).toBe('one');

    server.trouble = once(isComplete, { kind: 'lose-answer' });
    const large = inPieces(patternOf(FAKE_PART_BYTES * 2), 100_000);
    const info = await store.putIfAbsent('large', large);
    expect(info).toMatchObject({ sizeBytes: FAKE_PART_BYTES * 2 });
  });

  it('a completion whose answer was lost knows its object, resumed uploads too', async () => {
    const { server, store } = await open();
    const { uploadId } = await store.startUpload('a');
    const upload = await store.resumeUpload('a', uploadId);
    const part = await upload.putPart(1, patternOf(10));
    server.trouble = once(isComplete, { kind: 'lose-answer' });
    const info = await upload.complete([part]);
    expect(info).toEqual(await store.head('a'));
    await expect(upload.complete([part])).rejects.toMatchObject({ code: 'UPLOAD_NOT_FOUND' });
  });

  it('a body that is cut on its way is an error to retry, and can be read on', async () => {
    const { server, store } = await open();
    const bytes = patternOf(200_000);
    await store.put('a', bytes);
    const isGet = ({ method }: FakeRequestSeen): boolean => method === 'GET';
    server.trouble = once(isGet, { kind: 'cut', afterBytes: 70_000 });
    const cut = readBody(await store.get('a'));
    await expect(cut).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });

    server.trouble = once(isGet, { kind: 'cut', afterBytes: 30_000 }, 3);
    const pieces: Uint8Array[] = [];
    for await (const piece of readResuming(store, 'a', { backoffMsMin: 1 })) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
  });

  it('a write that fails for good leaves no upload behind', async () => {
    const { server, store } = await open({}, { attemptsMax: 2 });
    server.trouble = ({ method, target }) => {
      const isThird = method === 'PUT' && target.includes('partNumber=3');
      return isThird ? { kind: 'refuse', status: 503, code: 'SlowDown' } : undefined;
    };
    const put = store.put('a', inPieces(patternOf(FAKE_PART_BYTES * 6), 100_000));
    await expect(put).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(server.bucket.uploads.size).toBe(0);
    expect(server.bucket.objects.size).toBe(0);
  });

  it('never more parts are on their way than were allowed', async () => {
    const { server, store } = await open({}, { partsInFlight: 2 });
    let takenBytes = 0;
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < 12; at += 1) {
        yield patternOf(FAKE_PART_BYTES, at);
        takenBytes += FAKE_PART_BYTES;
        const arrived = server.seen.filter(({ target }) => target.includes('partNumber')).length;
        // Those on their way, the one that waits for a place, and the one being cut.
        expect(takenBytes / FAKE_PART_BYTES - arrived).toBeLessThanOrEqual(4);
      }
    };
    await store.put('a', body());
    expect(takenBytes).toBe(FAKE_PART_BYTES * 12);
  });

  it('objects are encrypted as was asked, in one request or in parts', async () => {
    const encryption = { kind: 'aws:kms', keyId: 'key-1' } as const;
    const { server, store } = await open({}, { encryption });
    await store.put('small', Buffer.from('x'));
    await store.put('large', patternOf(FAKE_PART_BYTES * 2));
    for (const name of ['small', 'large']) {
      expect(server.bucket.find(PREFIX + name).headers).toMatchObject({
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
      });
    }
  });

  it('asks a server once whether it honours conditions, and leaves nothing of it', async () => {
    const { server, store } = await open();
    expect(await store.canPutIfAbsent()).toBe(true);
    const asked = server.seen.length;
    expect(await store.canPutIfAbsent()).toBe(true);
    expect(server.seen).toHaveLength(asked);
    expect(server.bucket.objects.size + server.bucket.uploads.size).toBe(0);
  });

  it('no object outside of its prefix is listed, read or deleted', async () => {
    const { server, store } = await open();
    server.bucket.put('elsewhere/a', Buffer.from('x'), {}, false);
    server.bucket.put(`${PREFIX}folder/`, Buffer.from(''), {}, false);
    await store.put('a', Buffer.from('x'));
    expect((await store.list('')).objects.map(({ key }) => key)).toEqual(['a']);
    await store.deleteMany(['a', 'elsewhere/a']);
    expect([...server.bucket.objects.keys()].sort()).toEqual(['elsewhere/a', `${PREFIX}folder/`]);
  });

  it('a server that is not there is an error to retry', async () => {
    const { settings } = await open();
    const store = new S3Store({ ...settings, endpoint: 'http://127.0.0.1:1', attemptsMax: 2 });
    const put = store.put('a', Buffer.from('x'));
    await expect(put).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
    await store.close();
  });

  it('a server that does not answer is given up at the deadline', async () => {
    const { server, store } = await open();
    server.trouble = () => ({ kind: 'hang' });
    const head = store.head('a', { deadlineMs: 300 });
    await expect(head).rejects.toMatchObject({ code: 'STORE_DEADLINE', retryable: true });
    const closed = store.list('');
    await store.close();
    await expect(closed).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });
});
