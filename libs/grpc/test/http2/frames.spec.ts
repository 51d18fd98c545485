/**
 * RFC 9113, sections 3 to 6: what is said on a connection, frame by frame. Named after the sections, and
 * as strict as the public conformance suites are.
 */
import { describe, expect, it } from 'vitest';
import { sharedServer } from './native-server.js';
import {
  ACK,
  CODE,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  GET,
  GOAWAY,
  HEADERS,
  PADDED,
  PING,
  PRIORITY,
  PUSH_PROMISE,
  RawConnection,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  WITH_PRIORITY,
  block,
  frameBytes,
  message,
  number32,
  post,
  settings,
} from './raw-connection.js';

const native = sharedServer();
const OPEN = END_HEADERS;
const EIGHT = Buffer.from('eight by');
const ECHO = post('/test.v1.Echo/Collect');
const priority = (on: number): Buffer => Buffer.concat([number32(on), Buffer.of(15)]);

/** What is sent on a fresh connection, and what must come of it. */
type Case = readonly [title: string, send: (c: RawConnection) => void];

function eachEnds(code: number, cases: readonly Case[]): void {
  it.each(cases)('%s: the connection ends', async (_title, send) => {
    const connection = await RawConnection.open(native().port);
    send(connection);
    await connection.connectionError(code);
  });
}

function eachCuts(code: number, cases: readonly Case[], id = 1): void {
  it.each(cases)('%s: the stream is cut', async (_title, send) => {
    const connection = await RawConnection.open(native().port);
    send(connection);
    await connection.streamError(id, code);
  });
}

function eachAnswers(cases: readonly Case[], id = 1): void {
  it.each(cases)('%s: is answered', async (_title, send) => {
    const connection = await RawConnection.open(native().port);
    send(connection);
    expect((await connection.answer(id))[':status']).toMatch(/^[1-5]\d\d$/);
    await connection.works();
  });
}

function eachWorks(cases: readonly Case[]): void {
  it.each(cases)('%s: the connection goes on', async (_title, send) => {
    const connection = await RawConnection.open(native().port);
    send(connection);
    await connection.works();
    connection.headers(101, GET);
    expect((await connection.answer(101))[':status']).toBe('405');
  });
}

describe('3.4 preface', () => {
  it('is answered with SETTINGS first', async () => {
    const connection = await RawConnection.bare(native().port);
    connection.raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const first = await connection.until(() => true);
    expect([first.type, first.flags, first.id]).toEqual([SETTINGS, 0, 0]);
  });

  it.each([
    ['something else', Buffer.from('INVALID CONNECTION PREFACE\r\n\r\n')],
    ['HTTP/1.1', Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n')],
    [
      'no SETTINGS behind it',
      Buffer.concat([
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        frameBytes(PING, 0, 0, EIGHT),
      ]),
    ],
  ])('with %s ends the connection', async (_title, bytes) => {
    const connection = await RawConnection.bare(native().port);
    connection.raw(bytes);
    await connection.connectionError(CODE.protocol);
  });

  it('may come byte by byte', async () => {
    const connection = await RawConnection.bare(native().port);
    const bytes = Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frameBytes(SETTINGS, 0, 0, Buffer.alloc(0)),
      frameBytes(HEADERS, END_HEADERS | END_STREAM, 1, block(GET)),
    ]);
    for (const byte of bytes) {
      connection.raw(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    expect((await connection.answer(1))[':status']).toBe('405');
  });
});

describe('4.1 frame format', () => {
  eachWorks([
    ['a frame of an unknown type', (c) => c.send(0x16, 0, 0, EIGHT)],
    ['unknown flags', (c) => c.send(PING, 0x16 & ~ACK, 0, EIGHT)],
    ['the reserved bit', (c) => c.send(PING, 0, 0x8000_0000, EIGHT)],
  ]);
});

describe('4.2 frame size', () => {
  eachAnswers([
    [
      'DATA of 2^14 bytes',
      (c) => {
        c.headers(1, ECHO, OPEN);
        c.send(DATA, END_STREAM, 1, message(Buffer.alloc(16_384 - 5)));
      },
    ],
  ]);
  eachEnds(CODE.frameSize, [
    [
      'DATA of more than SETTINGS_MAX_FRAME_SIZE',
      (c) => {
        c.headers(1, ECHO, OPEN);
        c.send(DATA, END_STREAM, 1, Buffer.alloc(16_385));
      },
    ],
    [
      'HEADERS of more than SETTINGS_MAX_FRAME_SIZE',
      (c) => c.headers(1, [...GET, ['x', 'a'.repeat(16_384)]]),
    ],
  ]);
});

describe('4.3 header compression', () => {
  eachEnds(CODE.compression, [
    ['a block that is no HPACK', (c) => c.send(HEADERS, 5, 1, Buffer.from([0x40, 0xff, 0xff]))],
  ]);
  eachEnds(CODE.protocol, [
    [
      'PRIORITY in the middle of a block',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, block(GET));
        c.send(PRIORITY, 0, 1, priority(0));
      },
    ],
    [
      'HEADERS of another stream in the middle of a block',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, block(GET));
        c.headers(3, GET);
      },
    ],
  ]);
});

describe('5.1 stream states', () => {
  eachEnds(CODE.protocol, [
    ['idle: DATA', (c) => c.send(DATA, END_STREAM, 1, EIGHT)],
    ['idle: RST_STREAM', (c) => c.send(RST_STREAM, 0, 1, number32(8))],
    ['idle: WINDOW_UPDATE', (c) => c.send(WINDOW_UPDATE, 0, 1, number32(100))],
    ['idle: CONTINUATION', (c) => c.send(CONTINUATION, END_HEADERS, 1, block(GET))],
  ]);
  eachCuts(CODE.streamClosed, [
    [
      'half closed (remote): DATA',
      (c) => {
        c.headers(1, GET);
        c.send(DATA, END_STREAM, 1, EIGHT);
      },
    ],
    [
      'closed by RST_STREAM: DATA',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(RST_STREAM, 0, 1, number32(CODE.cancel));
        c.send(DATA, END_STREAM, 1, EIGHT);
      },
    ],
  ]);
  eachEnds(CODE.streamClosed, [
    [
      'closed: HEADERS',
      (c) => {
        c.headers(1, GET);
        c.headers(1, GET);
      },
    ],
    [
      'closed by RST_STREAM: HEADERS',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(RST_STREAM, 0, 1, number32(CODE.cancel));
        c.headers(1, GET);
      },
    ],
  ]);
  eachEnds(CODE.protocol, [
    [
      'closed: CONTINUATION',
      (c) => {
        c.headers(1, GET);
        c.send(CONTINUATION, END_HEADERS, 1, block(GET));
      },
    ],
  ]);
  eachAnswers([
    [
      'half closed (remote): WINDOW_UPDATE, PRIORITY, RST_STREAM',
      (c) => {
        c.headers(1, GET);
        c.send(WINDOW_UPDATE, 0, 1, number32(10));
        c.send(PRIORITY, 0, 1, priority(0));
        c.send(RST_STREAM, 0, 1, number32(CODE.cancel));
      },
    ],
  ]);
  eachWorks([
    ['idle: PRIORITY', (c) => c.send(PRIORITY, 0, 7, priority(0))],
    [
      'closed: PRIORITY, WINDOW_UPDATE, RST_STREAM',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(RST_STREAM, 0, 1, number32(CODE.cancel));
        c.send(PRIORITY, 0, 1, priority(0));
        c.send(WINDOW_UPDATE, 0, 1, number32(10));
        c.send(RST_STREAM, 0, 1, number32(CODE.cancel));
      },
    ],
  ]);
});

describe('5.1.1 stream identifiers', () => {
  eachEnds(CODE.protocol, [['an even one', (c) => c.headers(2, GET)]]);
  eachEnds(CODE.streamClosed, [
    [
      'a smaller one than before',
      (c) => {
        c.headers(5, GET);
        c.headers(3, GET);
      },
    ],
  ]);
});

describe('5.3.1 dependencies', () => {
  eachEnds(CODE.protocol, [
    [
      'HEADERS that depend on their own stream',
      (c) => {
        const payload = Buffer.concat([priority(1), block(GET)]);
        c.send(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, payload);
      },
    ],
    ['PRIORITY of an idle stream on itself', (c) => c.send(PRIORITY, 0, 1, priority(1))],
  ]);
  eachCuts(CODE.protocol, [
    [
      'PRIORITY of an open stream on itself',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(PRIORITY, 0, 1, priority(1));
      },
    ],
  ]);
});

describe('5.5 extensions', () => {
  eachEnds(CODE.protocol, [
    [
      'an unknown frame in the middle of a block',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, block(GET));
        c.send(0x16, 0, 0, EIGHT);
      },
    ],
  ]);
});

describe('6.1 DATA', () => {
  eachAnswers([
    [
      'with padding',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(DATA, END_STREAM | PADDED, 1, Buffer.from([3, 1, 2, 0, 0, 0]));
      },
    ],
  ]);
  eachEnds(CODE.protocol, [
    ['on stream 0', (c) => c.send(DATA, END_STREAM, 0, EIGHT)],
    [
      'with more padding than payload',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(DATA, END_STREAM | PADDED, 1, Buffer.from([6, 1, 2, 3, 4, 5]));
      },
    ],
    [
      'padded without a payload',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(DATA, END_STREAM | PADDED, 1);
      },
    ],
  ]);
});

describe('6.2 HEADERS', () => {
  const padded = Buffer.concat([Buffer.of(4), block(GET), Buffer.alloc(4)]);
  eachAnswers([
    ['with padding', (c) => c.send(HEADERS, 5 | PADDED, 1, padded)],
    [
      'with a priority',
      (c) => {
        c.send(HEADERS, 5 | WITH_PRIORITY, 1, Buffer.concat([priority(0), block(GET)]));
      },
    ],
    [
      'with both',
      (c) => {
        const parts = [Buffer.of(2), priority(3), block(GET), Buffer.alloc(2)];
        c.send(HEADERS, 5 | WITH_PRIORITY | PADDED, 1, Buffer.concat(parts));
      },
    ],
  ]);
  eachEnds(CODE.protocol, [
    ['on stream 0', (c) => c.headers(0, GET)],
    [
      'with more padding than payload',
      (c) => c.send(HEADERS, 5 | PADDED, 1, Buffer.concat([Buffer.of(255), block(GET)])),
    ],
  ]);
  eachEnds(CODE.frameSize, [
    ['too short for its priority', (c) => c.send(HEADERS, 5 | WITH_PRIORITY, 1, Buffer.alloc(4))],
  ]);
});

describe('6.3 PRIORITY', () => {
  eachEnds(CODE.protocol, [['on stream 0', (c) => c.send(PRIORITY, 0, 0, priority(1))]]);
  eachCuts(CODE.frameSize, [
    [
      'of four bytes',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(PRIORITY, 0, 1, Buffer.alloc(4));
      },
    ],
  ]);
});

describe('6.4 RST_STREAM', () => {
  eachEnds(CODE.protocol, [['on stream 0', (c) => c.send(RST_STREAM, 0, 0, number32(8))]]);
  eachEnds(CODE.frameSize, [
    [
      'of three bytes',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(RST_STREAM, 0, 1, Buffer.alloc(3));
      },
    ],
  ]);
});

describe('6.5 SETTINGS', () => {
  eachEnds(CODE.frameSize, [
    ['an acknowledgement with a payload', (c) => c.send(SETTINGS, ACK, 0, Buffer.alloc(6))],
    ['of a length that is no multiple of 6', (c) => c.send(SETTINGS, 0, 0, Buffer.alloc(3))],
  ]);
  eachEnds(CODE.protocol, [
    ['on a stream', (c) => c.send(SETTINGS, 0, 1, settings([3, 100]))],
    ['ENABLE_PUSH of 2', (c) => c.send(SETTINGS, 0, 0, settings([2, 2]))],
    ['MAX_FRAME_SIZE below 2^14', (c) => c.send(SETTINGS, 0, 0, settings([5, 16_383]))],
    ['MAX_FRAME_SIZE above 2^24 - 1', (c) => c.send(SETTINGS, 0, 0, settings([5, 2 ** 24]))],
  ]);
  eachEnds(CODE.flowControl, [
    ['INITIAL_WINDOW_SIZE of 2^31', (c) => c.send(SETTINGS, 0, 0, settings([4, 2 ** 31]))],
  ]);
  eachWorks([['of an unknown kind', (c) => c.send(SETTINGS, 0, 0, settings([0xff, 1]))]]);

  it('are acknowledged, and the last of equal ones counts', async () => {
    const connection = await RawConnection.open(native().port);
    connection.send(SETTINGS, 0, 0, settings([4, 100], [4, 1]));
    expect((await connection.on(0, SETTINGS)).flags).toBe(ACK);
    connection.headers(1, GET);
    expect((await connection.on(1, DATA)).payload.length).toBe(1);
  });
});

describe('6.6 PUSH_PROMISE', () => {
  eachEnds(CODE.protocol, [
    ['from a client', (c) => c.send(PUSH_PROMISE, END_HEADERS, 1, number32(2))],
  ]);
});

describe('6.7 PING', () => {
  eachEnds(CODE.protocol, [['on a stream', (c) => c.send(PING, 0, 1, EIGHT)]]);
  eachEnds(CODE.frameSize, [['of six bytes', (c) => c.send(PING, 0, 0, Buffer.alloc(6))]]);
  eachWorks([['an acknowledgement of none', (c) => c.send(PING, ACK, 0, EIGHT)]]);
});

describe('6.8 GOAWAY', () => {
  const goaway = Buffer.concat([number32(0), number32(0)]);
  eachEnds(CODE.protocol, [['on a stream', (c) => c.send(GOAWAY, 0, 1, goaway)]]);
  eachEnds(CODE.frameSize, [['of seven bytes', (c) => c.send(GOAWAY, 0, 0, Buffer.alloc(7))]]);
  eachWorks([['a client that says goodbye', (c) => c.send(GOAWAY, 0, 0, goaway)]]);
});

describe('6.10 CONTINUATION', () => {
  const [first, second, third] = [0, 1, 2].map((part) =>
    block(GET).subarray(part * 10, part * 10 + (part === 2 ? 999 : 10)),
  );
  eachAnswers([
    [
      'several of them, one empty',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, first);
        c.send(CONTINUATION, 0, 1, second);
        c.send(CONTINUATION, 0, 1);
        c.send(CONTINUATION, END_HEADERS, 1, third);
      },
    ],
  ]);
  eachEnds(CODE.protocol, [
    [
      'on stream 0',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, first);
        c.send(CONTINUATION, END_HEADERS, 0, second);
      },
    ],
    [
      'on another stream',
      (c) => {
        c.send(HEADERS, END_STREAM, 1, first);
        c.send(CONTINUATION, END_HEADERS, 3, second);
      },
    ],
    [
      'behind the end of a block',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(CONTINUATION, END_HEADERS, 1, second);
      },
    ],
    [
      'behind DATA',
      (c) => {
        c.headers(1, GET, OPEN);
        c.send(DATA, 0, 1, EIGHT);
        c.send(CONTINUATION, END_HEADERS, 1, second);
      },
    ],
    [
      'interrupted by DATA',
      (c) => {
        c.send(HEADERS, 0, 1, first);
        c.send(DATA, END_STREAM, 1, EIGHT);
      },
    ],
  ]);
});
