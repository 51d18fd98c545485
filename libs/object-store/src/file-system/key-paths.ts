/**
 * Keys as paths below a folder, and back.
 *
 * In: a checked key. Out: a relative path of which every component is made of letters, digits and
 * `. _ - = @ ,`, of `%XX` for any other byte, and of two marks: a folder whose name ends in `+`
 * stands for a segment with its slash, one that ends in `~` for 80 bytes of a segment too long for
 * one name. So `a` and `a/b` can both be objects, no key has a component `..`, and no two keys
 * share a path, whatever the file system thinks of Unicode. Letters keep their case: the file system
 * has to tell `a` from `A`.
 */
import { ObjectStoreError } from '../port/errors.js';

/** Escaped threefold, with its mark it is below the 255 bytes that a name may have. */
const PIECE_BYTES_MAX = 80;
const FOLDER_MARK = '+';
const CONTINUED_MARK = '~';
/** What is left of a segment of exactly so many pieces. */
const EMPTY_PIECE = '~';

const PLAIN = new Set(
  Buffer.from('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-=@,'),
);

/** The components of the file of a key. */
export function pathOfKey(key: string): string[] {
  const segments = key.split('/');
  const last = segments.pop() ?? '';
  return [...segments.flatMap((segment) => piecesOf(segment, FOLDER_MARK)), ...piecesOf(last, '')];
}

export function keyOfPath(path: readonly string[]): string {
  return Buffer.concat(path.map(bytesOfName)).toString();
}

/**
 * The bytes of a key that one component stands for, a folder's slash included. Keys in the folder
 * begin with them. Throws where the name was not made here.
 */
export function bytesOfName(name: string): Buffer {
  if (name === EMPTY_PIECE) return Buffer.alloc(0);
  if (name === EMPTY_PIECE + FOLDER_MARK) return Buffer.from('/');
  if (name.endsWith(FOLDER_MARK)) return unescape(name, name.slice(0, -1), '/');
  if (name.endsWith(CONTINUED_MARK)) return unescape(name, name.slice(0, -1), '');
  return unescape(name, name, '');
}

export function isFolderName(name: string): boolean {
  return name !== EMPTY_PIECE && (name.endsWith(FOLDER_MARK) || name.endsWith(CONTINUED_MARK));
}

function piecesOf(segment: string, mark: string): string[] {
  let rest = Buffer.from(segment);
  const pieces: string[] = [];
  while (rest.length >= PIECE_BYTES_MAX) {
    pieces.push(escape(rest.subarray(0, PIECE_BYTES_MAX)) + CONTINUED_MARK);
    rest = rest.subarray(PIECE_BYTES_MAX);
  }
  pieces.push((rest.length === 0 ? EMPTY_PIECE : escape(rest)) + mark);
  return pieces;
}

/** A leading dot is escaped too: `.` and `..` are no pieces, and nothing is hidden. */
function escape(bytes: Uint8Array): string {
  let name = '';
  for (const [at, byte] of bytes.entries()) {
    const plain = PLAIN.has(byte) && !(at === 0 && byte === 0x2e);
    name += plain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`;
  }
  return name;
}

function unescape(name: string, escaped: string, end: string): Buffer {
  const latin1 = escaped.replace(/%([0-9a-f]{2})/g, (_, hex: string) => {
    return String.fromCharCode(Number.parseInt(hex, 16));
  });
  const bytes = Buffer.from(latin1, 'latin1');
  if (escaped === '' || escape(bytes) !== escaped) {
    throw new ObjectStoreError('STORE_FAILED', `${JSON.stringify(name)} is no file of this store`);
  }
  return Buffer.concat([bytes, Buffer.from(end)]);
}
