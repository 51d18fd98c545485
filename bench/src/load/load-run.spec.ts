/**
 * The load client against a real gRPC server (`@grpc/grpc-js`), which knows nothing of it.
 */
import {
  createGrpcJsServer,
  type GrpcServer,
  GrpcStatusError,
  type UnaryHandler,
} from '@flotilla/grpc';
import { afterEach, describe, expect, it } from 'vitest';
import { regattaProtocol } from '../servers/regatta-protocol.js';
import { getTemplate, keyOf, putTemplate, txnTemplate } from '../scenarios/request-templates.js';
import { regattaV1 as v1 } from '@flotilla/proto';
import { LoadRun } from './load-run.js';
import type { LoadPlan, RequestTemplate } from './plan.js';
import { GRPC_PREFIX_BYTES } from './request-filler.js';

const ANSWER = Buffer.alloc(20, 'a');
const logger = { error: () => undefined, warn: () => undefined, info: () => undefined };
const servers: GrpcServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close({ graceMs: 0 })));
});

async function serve(handlers: Readonly<Record<string, UnaryHandler>>): Promise<number> {
  const server = createGrpcJsServer({ logger });
  servers.push(server);
  for (const [path, handler] of Object.entries(handlers)) server.register(path, 'unary', handler);
  return (await server.listen('http://127.0.0.1:0')).port ?? 0;
}

function plan(port: number, templates: readonly RequestTemplate[], over: object = {}): LoadPlan {
  return {
    host: '127.0.0.1',
    port,
    connections: 2,
    streams: 4,
    templates,
    keys: 1_000,
    keysEach: 1,
    course: { kind: 'counted', requests: 1_000 },
    pids: [process.pid],
    ...over,
  };
}

const { rangePath, putPath, txnPath } = regattaProtocol;
const get = getTemplate(regattaProtocol, false);

describe('a run of all keys', () => {
  it('sends each key once, counts each answer once, and measures all after the first ones', async () => {
    const seen: string[] = [];
    const port = await serve({
      [rangePath]: (request) => {
        seen.push(v1.RangeRequest.decode(request).key.toString());
        return ANSWER;
      },
    });
    const result = await new LoadRun(plan(port, [get])).run();
    const expected = Array.from({ length: 1_000 }, (_, at) => keyOf(at).toString());
    expect(seen.sort()).toEqual(expected);
    const bytes = ANSWER.length + GRPC_PREFIX_BYTES;
    expect(result.templates).toMatchObject([{ answered: 1_000, answerBytesMin: bytes }]);
    expect(result.requests).toBe(998);
    expect(result.serverCpuMicros).toBeGreaterThan(0);
  });

  it('brings whole what is larger than frames and windows', async () => {
    const values: number[] = [];
    const port = await serve({
      [txnPath]: (request) => {
        const { success } = v1.TxnRequest.decode(request);
        for (const { request: operation } of success) {
          if (operation?.$case === 'requestPut') values.push(operation.value.value.length);
        }
        return ANSWER;
      },
    });
    const template = txnTemplate(regattaProtocol, 50, 4_000);
    const course = { kind: 'counted', requests: 20 };
    await new LoadRun(plan(port, [template], { keysEach: 50, course })).run();
    expect(values).toEqual(Array.from({ length: 1_000 }, () => 4_000));
  });

  it('counts the bytes of answers that fill many frames', async () => {
    const port = await serve({ [rangePath]: () => Buffer.alloc(1_000_000) });
    const course = { kind: 'counted', requests: 40 };
    const { templates } = await new LoadRun(plan(port, [get], { course })).run();
    const answerBytesMin = 1_000_000 + GRPC_PREFIX_BYTES;
    expect(templates).toMatchObject([{ answered: 40, answerBytesMin }]);
  });
});

describe('a run for a time', () => {
  it('has as many in flight as was said, never more, and mixes by weight', async () => {
    let [open, most] = [0, 0];
    const counts = { get: 0, put: 0 };
    const slowly = (kind: keyof typeof counts) => async () => {
      counts[kind]++;
      most = Math.max(most, ++open);
      // Timers may end a millisecond early.
      const untilMs = performance.now() + 2;
      while (performance.now() < untilMs) await new Promise((done) => setTimeout(done, 1));
      open--;
      return ANSWER;
    };
    const port = await serve({ [rangePath]: slowly('get'), [putPath]: slowly('put') });
    const templates = [{ ...get, weight: 9 }, putTemplate(regattaProtocol, 100)];
    const course = { kind: 'timed', warmUpSeconds: 0.1, seconds: 3 };
    const result = await new LoadRun(plan(port, templates, { course })).run();
    expect(most).toBe(8);
    const [gets, puts] = result.templates;
    expect([gets?.answered, puts?.answered]).toEqual([counts.get, counts.put]);
    expect(counts.put / (counts.get + counts.put)).toBeGreaterThan(0.04);
    expect(counts.put / (counts.get + counts.put)).toBeLessThan(0.2);
    expect(result.requests).toBeLessThan(counts.get + counts.put);
    expect(result.p50Ms).toBeGreaterThan(1.9);
    expect(result.p99Ms).toBeGreaterThanOrEqual(result.p50Ms);
    expect(result.seconds).toBeGreaterThan(2.9);
  });
});

describe('a run fails', () => {
  it('with what the server said, at the first request that was refused', async () => {
    let calls = 0;
    const port = await serve({
      [rangePath]: () => {
        if (++calls > 50) throw new GrpcStatusError(14, 'busy: später');
        return ANSWER;
      },
    });
    await expect(new LoadRun(plan(port, [get])).run()).rejects.toThrow(
      `${rangePath}: grpc-status 14, busy: später`,
    );
  });

  it('when the server goes away', async () => {
    let calls = 0;
    const port = await serve({
      [rangePath]: () => {
        if (++calls === 50) void servers[0]?.close({ graceMs: 0 });
        return ANSWER;
      },
    });
    await expect(new LoadRun(plan(port, [get])).run()).rejects.toThrow(/closed|frame of type/);
  });

  it('when nobody listens', async () => {
    const port = await serve({});
    await servers[0]?.close();
    await expect(new LoadRun(plan(port, [get])).run()).rejects.toThrow('ECONNREFUSED');
  });
});
