/**
 * Makes random calls with one client against one server, and names each that did not end as it must.
 *
 * In: a server, a client, calls. Out: differences, as texts that begin with the number of the call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type CallOptions, type GrpcClient } from '../../src/client.js';
import { type ReceivedMetadata } from '../../src/metadata.js';
import { GrpcStatusError } from '../../src/status.js';
import { CROSS_PATH } from './cross-servers.js';
import {
  DEADLINE_MS,
  digestOf,
  expectedOf,
  messageOf,
  type Outcome,
  type RandomCall,
} from './random-calls.js';

/** Calls under way at once. */
const LANES = 24;
/** A call that takes longer hangs. */
const CALL_MS_MAX = 30_000;
const AMPLE_DEADLINE_MS = 60_000;
const SHORTEST_CANCEL_MS = 1;

export async function runCross(
  client: GrpcClient,
  calls: readonly RandomCall[],
): Promise<string[]> {
  const differences: string[] = [];
  const queue = [...calls];
  const lane = async (): Promise<void> => {
    for (let call = queue.shift(); call; call = queue.shift()) {
      const problem = await judge(client, call);
      if (problem !== undefined) differences.push(`${call.number}: ${problem}`);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return differences;
}

async function judge(client: GrpcClient, call: RandomCall): Promise<string | undefined> {
  const timer = new AbortController();
  const late = sleep(CALL_MS_MAX, 'late' as const, { signal: timer.signal }).catch(() => undefined);
  const outcome = await Promise.race([perform(client, call), late]);
  timer.abort();
  const expected = expectedOf(call);
  const what = `${call.kind} ${call.encoding} ${call.ending} of ${call.sizes.join('+')}`;
  if (outcome === 'late' || outcome === undefined) return `${what} hangs`;
  // What the client itself says is its own affair.
  const isLocal = ['cancel', 'silent', 'deadline', 'too-large'].includes(call.ending);
  const seen = isLocal ? { ...expected, code: outcome.code } : outcome;
  const [is, must] = [JSON.stringify(seen), JSON.stringify(expected)];
  return is === must ? undefined : `${what} is ${is}, must be ${must}`;
}

async function perform(client: GrpcClient, call: RandomCall): Promise<Outcome> {
  const abort = new AbortController();
  let trailers: ReceivedMetadata | undefined;
  const options: CallOptions = {
    encoding: call.encoding,
    metadata: {
      'x-ending': call.ending,
      'x-answers': String(call.answers),
      'x-code': String(call.code),
      'x-text': Buffer.from(call.text).toString('hex'),
      'x-tag-bin': call.tag,
    },
    signal: abort.signal,
    onTrailers: (received) => (trailers = received),
    ...(call.ending === 'deadline' && { deadlineMs: DEADLINE_MS }),
    ...(call.ending !== 'deadline' && call.hasDeadline && { deadlineMs: AMPLE_DEADLINE_MS }),
  };
  const isCut = call.ending === 'cancel' || call.ending === 'silent';
  const cut = isCut
    ? setTimeout(() => abort.abort(), call.ending === 'cancel' ? SHORTEST_CANCEL_MS : DEADLINE_MS)
    : undefined;
  const messages: Buffer[] = [];
  const end = (code: number, text: string): Outcome => ({
    code,
    text,
    messages: messages.length,
    digest: digestOf(messages),
    tag: trailers === undefined ? '' : tagOf(trailers),
  });
  try {
    await receive(client, call, options, messages);
    return end(0, '');
  } catch (error) {
    if (error instanceof GrpcStatusError) return end(error.code, error.message);
    throw error;
  } finally {
    clearTimeout(cut);
  }
}

async function receive(
  client: GrpcClient,
  call: RandomCall,
  options: CallOptions,
  messages: Buffer[],
): Promise<void> {
  const path = CROSS_PATH[call.kind];
  const first = messageOf(call, 0);
  switch (call.kind) {
    case 'unary':
      messages.push(await client.unary(path, first, options));
      return;
    case 'client-stream':
      messages.push(await client.clientStream(path, requestsOf(call), options));
      return;
    case 'server-stream':
      for await (const message of client.serverStream(path, first, options)) messages.push(message);
      return;
    case 'bidi':
      for await (const message of client.bidi(path, requestsOf(call), options)) {
        messages.push(message);
      }
  }
}

/** Some sources give everything at once, some take their time. */
async function* requestsOf(call: RandomCall): AsyncGenerator<Buffer, void, undefined> {
  for (let at = 0; at < call.sizes.length; at++) {
    if ((call.number + at) % 3 === 0) await sleep(1);
    yield messageOf(call, at);
  }
}

function tagOf(trailers: ReceivedMetadata): string {
  const [tag] = trailers.getAll('x-tag-bin');
  return Buffer.isBuffer(tag) ? tag.toString('hex') : '';
}
