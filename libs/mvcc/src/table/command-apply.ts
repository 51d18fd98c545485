/**
 * The meaning of each command.
 *
 * In: a decoded command, the index of its entry, and the batch it goes into. Out: the result its
 * proposer waits for. A command carries its revision as `leader_index` when it comes from a leader
 * cluster, else its revision is the entry's index, and above that what the table's offset says. One whose
 * leader index does not grow was applied before and must never be applied again: its Txn might take the other
 * branch now.
 */
import { mvccV1 } from '@flotilla/proto';
import { type ApplyBatch } from './apply-batch.js';
import { type DecodedCommand, type PutCommand, safeNumber } from './command-decoder.js';
import { allHold, conditionOf } from './condition.js';
import { keepCheck, passFence } from './fence.js';
import { applyAdoption, applyFill } from './filling.js';
import { deleteKeys, putPair, runOperation } from './operations.js';
import { TableError } from './table-error.js';
import { type ApplyResult, type TxnResult } from './table-types.js';

const { PUT, DELETE, DUMMY, PUT_BATCH, DELETE_BATCH, TXN, SEQUENCE, GC } =
  mvccV1.Command_CommandType;

export function applyCommand(
  batch: ApplyBatch,
  decoded: DecodedCommand,
  entryIndex: number,
): ApplyResult {
  const { meta } = batch;
  const inherited = entryIndex + meta.revisionOffset;
  const before = meta.leaderIndex;
  // What a filling has left is of no use once the table is written to.
  if (decoded.kind === 'put') {
    if (meta.fill !== undefined) meta.fill = undefined;
    const result = applyPut(batch, decoded, inherited);
    keepCheck(meta, before, undefined);
    return result;
  }
  if (decoded.kind === 'fill') {
    return applyFill(batch, decoded.fill, (replayed) => applyMessage(batch, replayed, inherited));
  }
  const { fence, adoption } = decoded.command;
  if (adoption !== undefined) return applyAdoption(batch, adoption, entryIndex);
  if (meta.fill !== undefined) meta.fill = undefined;
  const refused = fence && passFence(meta, fence);
  if (refused !== undefined) return { ...skipped(0), refused };
  const result = applyMessage(batch, decoded.command, inherited);
  keepCheck(meta, before, fence?.check);
  return result;
}

function applyPut(batch: ApplyBatch, put: PutCommand, inherited: number): ApplyResult {
  const revision = put.leaderIndex ?? inherited;
  if (!advance(batch, put.leaderIndex)) return skipped(revision);
  batch.begin(revision);
  const response = putPair(batch, put.key, put.value, put.wantsPrevious);
  return done(revision, [response]);
}

/** `inherited` is the revision of commands that carry none of their own. */
function applyMessage(batch: ApplyBatch, command: mvccV1.Command, inherited: number): ApplyResult {
  if (command.type === SEQUENCE) return applySequence(batch, command, inherited);
  const leaderIndex = ownIndex(command);
  const revision = leaderIndex ?? inherited;
  if (command.type === DUMMY || command.type === GC) {
    return applyDummy(batch, command, leaderIndex, revision);
  }
  if (!isKnown(command.type)) {
    throw new TableError('TABLE_COMMAND_UNKNOWN', `command type ${command.type} is not known`);
  }
  if (!advance(batch, leaderIndex)) return skipped(revision);
  batch.begin(revision);
  if (command.type === TXN) {
    const { succeeded, responses } = applyTxn(batch, needed(command.txn, 'a TXN has no txn'));
    return { revision, succeeded, responses, skipped: false };
  }
  return done(revision, applyPairs(batch, command));
}

function isKnown(type: number): boolean {
  return [PUT, DELETE, PUT_BATCH, DELETE_BATCH, TXN].some((known) => known === type);
}

function applyPairs(batch: ApplyBatch, command: mvccV1.Command): mvccV1.ResponseOp[] {
  const { prevKvs: wantsPrevious, count: wantsCount } = command;
  switch (command.type) {
    case PUT: {
      const { key, value } = needed(command.kv, 'a PUT has no pair');
      return [putPair(batch, key, value, wantsPrevious)];
    }
    case DELETE: {
      const { key } = needed(command.kv, 'a DELETE has no key');
      const { rangeEnd } = command;
      return [deleteKeys(batch, { key, rangeEnd, wantsPrevious, wantsCount })];
    }
    case PUT_BATCH:
      return command.batch.map(({ key, value }) => putPair(batch, key, value, wantsPrevious));
    default:
      return command.batch.map(({ key }) =>
        deleteKeys(batch, { key, rangeEnd: undefined, wantsPrevious, wantsCount }),
      );
  }
}

/** Changes no pair. With a leader index it moves the position; a DUMMY with index 0 resets it. */
function applyDummy(
  batch: ApplyBatch,
  command: mvccV1.Command,
  leaderIndex: number | undefined,
  revision: number,
): ApplyResult {
  if (leaderIndex === undefined) return done(revision, []);
  if (leaderIndex === 0 && command.type === DUMMY) {
    batch.startEpoch();
    batch.meta.leaderIndex = 0;
    return done(0, []);
  }
  if (!advance(batch, leaderIndex)) return skipped(revision);
  batch.begin(leaderIndex);
  return done(revision, []);
}

/**
 * Members keep a leader index of their own; those without take that of the sequence, or the entry's.
 * What was applied before is left out member by member.
 */
function applySequence(
  batch: ApplyBatch,
  sequence: mvccV1.Command,
  inherited: number,
): ApplyResult {
  const outerIndex = ownIndex(sequence);
  const isFresh = outerIndex === undefined || outerIndex > batch.meta.leaderIndex;
  const outerRevision = outerIndex ?? inherited;
  const responses: mvccV1.ResponseOp[] = [];
  let revision = outerRevision;
  let applied = 0;
  for (const member of sequence.sequence) {
    const isOwn = member.leaderIndex !== undefined || member.type === SEQUENCE;
    if (!isOwn && !isFresh) continue;
    const result = applyMessage(batch, member, outerRevision);
    if (result.skipped) continue;
    for (const response of result.responses) responses.push(response);
    revision = result.revision;
    applied += 1;
  }
  if (outerIndex !== undefined && outerIndex > batch.meta.leaderIndex) {
    batch.begin(outerIndex);
    batch.meta.leaderIndex = outerIndex;
    revision = outerIndex;
    applied += 1;
  }
  const isSkipped = applied === 0 && (!isFresh || sequence.sequence.length > 0);
  return { revision, succeeded: !isSkipped, responses, skipped: isSkipped };
}

function applyTxn(batch: ApplyBatch, txn: mvccV1.Txn): TxnResult {
  const succeeded = allHold(batch, txn.compare.map(conditionOf));
  const branch = succeeded ? txn.success : txn.failure;
  return { succeeded, responses: branch.map((operation) => runOperation(batch, operation)) };
}

/** Whether a Txn can change nothing, whichever branch it takes. */
export function isReadOnlyTxn(txn: mvccV1.Txn): boolean {
  const reads = ({ request }: mvccV1.RequestOp): boolean =>
    request === undefined || request.$case === 'requestRange';
  return txn.success.every(reads) && txn.failure.every(reads);
}

/** Takes a leader index if it grows; a command without one always goes on. */
function advance(batch: ApplyBatch, leaderIndex: number | undefined): boolean {
  if (leaderIndex === undefined) return true;
  if (leaderIndex <= batch.meta.leaderIndex) return false;
  batch.meta.leaderIndex = leaderIndex;
  return true;
}

function ownIndex(command: mvccV1.Command): number | undefined {
  return command.leaderIndex === undefined ? undefined : safeNumber(command.leaderIndex);
}

function needed<T>(operand: T | undefined, message: string): T {
  if (operand === undefined) throw new TableError('TABLE_COMMAND_MALFORMED', message);
  return operand;
}

function done(revision: number, responses: mvccV1.ResponseOp[]): ApplyResult {
  return { revision, succeeded: true, responses, skipped: false };
}

function skipped(revision: number): ApplyResult {
  return { revision, succeeded: false, responses: [], skipped: true };
}
