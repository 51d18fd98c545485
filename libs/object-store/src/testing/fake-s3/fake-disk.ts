/**
 * The folder of a fake bucket that outlives its process.
 *
 *   objects/<name of the key>     what the object is, as JSON behind its length; its bytes
 *   uploads/<id>/about.json       what is uploaded in parts
 *   uploads/<id>/<part>-<etag>
 *   temporary/                    what was being written; emptied at the start
 *
 * In: what the bucket takes. Out: the same after a kill of the process; a file has its name once it is
 * whole. Bytes are read when they are asked for and never held. Not synced: a loss of power may lose it.
 */
import { createHash, randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type FakeObject, type FakePart, type FakeUpload } from './fake-bucket.js';

type About = Pick<FakeObject, 'key' | 'etag' | 'headers'>;
type AboutUpload = Pick<FakeUpload, 'key' | 'headers'>;

const LENGTH_BYTES = 4;
const NAME_CHARS_MAX = 200;
const ABOUT_UPLOAD = 'about.json';

export class FakeDisk {
  private readonly objects: string;
  private readonly uploads: string;
  private readonly temporary: string;

  constructor(folder: string) {
    this.objects = join(folder, 'objects');
    this.uploads = join(folder, 'uploads');
    this.temporary = join(folder, 'temporary');
    rmSync(this.temporary, { recursive: true, force: true });
    for (const each of [this.objects, this.uploads, this.temporary]) {
      mkdirSync(each, { recursive: true });
    }
  }

  loadObjects(): FakeObject[] {
    return readdirSync(this.objects).map((name) => new DiskObject(join(this.objects, name)));
  }

  loadUploads(): FakeUpload[] {
    return readdirSync(this.uploads).map((uploadId) => this.loadUpload(uploadId));
  }

  keepObject(about: About, bytes: Buffer): FakeObject {
    const { key, etag, headers } = about;
    const text = Buffer.from(JSON.stringify({ key, etag, headers }));
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeUInt32LE(text.length);
    const path = join(this.objects, nameOf(key));
    this.write(path, Buffer.concat([length, text, bytes]));
    return new DiskObject(path);
  }

  dropObject(key: string): void {
    rmSync(join(this.objects, nameOf(key)), { force: true });
  }

  keepUpload(uploadId: string, about: AboutUpload): FakeUpload {
    const making = join(this.temporary, uploadId);
    mkdirSync(making);
    writeFileSync(join(making, ABOUT_UPLOAD), JSON.stringify(about));
    renameSync(making, join(this.uploads, uploadId));
    return this.loadUpload(uploadId);
  }

  keepPart({ uploadId }: FakeUpload, part: FakePart): FakePart {
    const path = join(this.uploads, uploadId, `${part.partNumber}-${part.etag}`);
    this.write(path, part.bytes);
    const before = this.parts(uploadId).filter(([, number]) => number === part.partNumber);
    for (const [name, , etag] of before) {
      if (etag !== part.etag) rmSync(join(this.uploads, uploadId, name));
    }
    return new DiskPart(path, part.partNumber, part.etag);
  }

  dropUpload(uploadId: string): void {
    const leaving = join(this.temporary, `${uploadId}-left`);
    renameSync(join(this.uploads, uploadId), leaving);
    rmSync(leaving, { recursive: true });
  }

  private loadUpload(uploadId: string): FakeUpload {
    const folder = join(this.uploads, uploadId);
    const about = join(folder, ABOUT_UPLOAD);
    const { key, headers } = JSON.parse(readFileSync(about, 'utf8')) as AboutUpload;
    const parts = new Map<number, FakePart>();
    for (const [name, number, etag] of this.parts(uploadId)) {
      parts.set(number, new DiskPart(join(folder, name), number, etag));
    }
    return { key, uploadId, headers, parts, startedAtMs: statSync(about).mtimeMs };
  }

  /** Names of their files, numbers, etags. */
  private parts(uploadId: string): (readonly [string, number, string])[] {
    const names = readdirSync(join(this.uploads, uploadId));
    return names
      .filter((name) => name !== ABOUT_UPLOAD)
      .map((name) => {
        const [number = '', etag = ''] = name.split('-');
        return [name, Number(number), etag] as const;
      });
  }

  private write(path: string, bytes: Buffer): void {
    const temporary = join(this.temporary, randomBytes(8).toString('hex'));
    writeFileSync(temporary, bytes);
    renameSync(temporary, path);
  }
}

class DiskObject implements FakeObject {
  readonly key: string;
  readonly etag: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly sizeBytes: number;
  private readonly from: number;

  constructor(private readonly path: string) {
    const file = openSync(path, 'r');
    try {
      const length = Buffer.alloc(LENGTH_BYTES);
      readSync(file, length);
      const text = Buffer.alloc(length.readUInt32LE());
      readSync(file, text);
      const about = JSON.parse(text.toString()) as About;
      this.key = about.key;
      this.etag = about.etag;
      this.headers = about.headers;
      this.from = LENGTH_BYTES + text.length;
      this.sizeBytes = statSync(path).size - this.from;
    } finally {
      closeSync(file);
    }
  }

  get bytes(): Buffer {
    return readFileSync(this.path).subarray(this.from);
  }

  /** Of the file, in whole seconds: a test that wants an old object sets its time back. */
  get modifiedAtMs(): number {
    return Math.floor(statSync(this.path).mtimeMs / 1_000) * 1_000;
  }
}

class DiskPart implements FakePart {
  readonly sizeBytes: number;
  readonly modifiedAtMs: number;

  constructor(
    private readonly path: string,
    readonly partNumber: number,
    readonly etag: string,
  ) {
    const { size, mtimeMs } = statSync(path);
    this.sizeBytes = size;
    this.modifiedAtMs = mtimeMs;
  }

  get bytes(): Buffer {
    return readFileSync(this.path);
  }
}

/** Keys that make a short name can be read from it. */
function nameOf(key: string): string {
  const encoded = encodeURIComponent(key);
  if (encoded.length <= NAME_CHARS_MAX) return `key-${encoded}`;
  return `hash-${createHash('sha256').update(key).digest('hex')}`;
}
