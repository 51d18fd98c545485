/**
 * What a puller sends, as one entry of the copy's log: a fenced SEQUENCE.
 *
 * In: encoded commands of the leader cluster. Out: the bytes of one command that holds them as they came.
 * Each is decoded and looked at first: what cannot be applied must be refused here, because an entry
 * that no replica can apply would end all of them.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { mvccV1, type applyV1 } from '@flotilla/proto';
import { KEY_BYTES_MAX } from '../kv/limits.js';

const { PUT, DELETE, DUMMY, PUT_BATCH, DELETE_BATCH, TXN, SEQUENCE, GC } =
  mvccV1.Command_CommandType;
/** What the log of a leader cluster holds. */
const OF_LEADERS: ReadonlySet<number> = new Set([
  PUT,
  DELETE,
  DUMMY,
  PUT_BATCH,
  DELETE_BATCH,
  TXN,
  GC,
]);

/** Larger numbers are no indexes and no tokens. */
const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** Field `sequence` of a command: number 10, length-delimited. */
const SEQUENCE_TAG = 0x52;

export type ReplicatedBatch = Pick<
  applyV1.ApplyReplicatedRequest,
  'table' | 'epoch' | 'token' | 'commands' | 'lastCheck'
>;

/** Throws InvalidArgument. */
export function batchCommand(batch: ReplicatedBatch): Buffer {
  const { table, epoch, token, commands, lastCheck } = batch;
  if (token > NUMBER_MAX) throw refused('token is too large');
  if (lastCheck !== undefined && commands.length === 0) {
    throw refused('last_check must not be set without commands');
  }
  let lastIndex = 0n;
  commands.forEach((bytes, at) => {
    lastIndex = checked(bytes, at, lastIndex);
  });
  const shell = mvccV1.Command.encode({
    table: Buffer.from(table),
    type: SEQUENCE,
    kv: undefined,
    batch: [],
    prevKvs: false,
    sequence: [],
    count: false,
    fence: { epoch, token, check: lastCheck },
  }).finish();
  const parts: Uint8Array[] = [shell];
  for (const command of commands) parts.push(sequenceHead(command.length), command);
  return Buffer.concat(parts);
}

/** Returns the leader index of the command. */
function checked(bytes: Buffer, at: number, lastIndex: bigint): bigint {
  const command = decoded(bytes, at);
  const { type, leaderIndex, kv, txn, fence } = command;
  if (!OF_LEADERS.has(type)) throw invalid(at, `type ${type} is not one of a leader cluster's log`);
  if (leaderIndex === undefined || leaderIndex <= lastIndex) {
    throw invalid(at, `leader_index must be above ${lastIndex}, got ${leaderIndex ?? 'none'}`);
  }
  if (leaderIndex > NUMBER_MAX) throw invalid(at, 'leader_index is too large');
  if ((type === PUT || type === DELETE) && !kv) throw invalid(at, 'kv must be set');
  if (type === TXN && !txn) throw invalid(at, 'txn must be set');
  if (fence) throw invalid(at, 'fence must not be set');
  if (longestPut(command) > KEY_BYTES_MAX) throw invalid(at, 'a key is too long');
  return leaderIndex;
}

/** Bytes of the longest key that the command may put: engines have a limit. */
export function longestPut({ kv, batch, txn }: mvccV1.Command): number {
  let longest = kv ? kv.key.length : 0;
  for (const { key } of batch) longest = Math.max(longest, key.length);
  for (const { request } of [...(txn?.success ?? []), ...(txn?.failure ?? [])]) {
    if (request?.$case !== 'requestPut') continue;
    longest = Math.max(longest, request.value.key.length);
  }
  return longest;
}

function decoded(bytes: Buffer, at: number): mvccV1.Command {
  try {
    return mvccV1.Command.decode(bytes);
  } catch (cause) {
    const text = `commands[${at}] is not a command`;
    throw new GrpcStatusError(status.INVALID_ARGUMENT, text, undefined, { cause });
  }
}

function invalid(at: number, what: string): GrpcStatusError {
  return refused(`commands[${at}]: ${what}`);
}

function refused(what: string): GrpcStatusError {
  return new GrpcStatusError(status.INVALID_ARGUMENT, what);
}

/** Tag and length of one member. */
function sequenceHead(length: number): Buffer {
  const bytes = [SEQUENCE_TAG];
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Buffer.from(bytes);
}
