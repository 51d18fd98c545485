/**
 * Commands of a log that go on from rows, in a table that is filled out of sight.
 *
 * In: what the table holds, and a batch of rows and commands. Out: why that batch cannot be written, with the
 * name of the field, or nothing: then each command can be applied at the revision that is its leader index,
 * as the table did that it comes from. It is asked at the door, and again where the batch is applied, which
 * must neither end a node nor number anew, whatever came in. Revisions only grow:
 *
 *   rows of batch 1, 2, 3 ...  <  commands of batch 3  <  commands of batch 4 ...
 */
import { mvccV1 } from '@flotilla/proto';
import { type FillRefusal, type TableState } from './table-types.js';

const { PUT, DELETE, DUMMY, PUT_BATCH, DELETE_BATCH, TXN, SEQUENCE, GC } =
  mvccV1.Command_CommandType;
const KNOWN: ReadonlySet<number> = new Set([
  ...[PUT, DELETE, DUMMY, PUT_BATCH, DELETE_BATCH, TXN, SEQUENCE, GC],
]);

/** Larger numbers are no revisions. */
const NUMBER_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export interface FillFault {
  readonly refusal: FillRefusal;
  /** Begins with the field that is wrong. */
  readonly text: string;
}

export interface FillContent {
  readonly rowCount: number;
  /** The newest revision of its rows. */
  readonly newestRow: number;
  readonly commands: readonly mvccV1.Command[];
}

/** What a table holds that no batch was written into. */
export const NOTHING_FILLED: FilledState = { revision: 0, leaderIndex: 0 };

export type FilledState = Pick<TableState, 'revision' | 'leaderIndex' | 'fence'>;

/** Why the batch cannot be written on top of what is there. */
export function faultOfBatch(
  state: FilledState,
  { rowCount, newestRow, commands }: FillContent,
): FillFault | undefined {
  if (rowCount > 0 && hasReplayed(state)) {
    return { refusal: 'revision', text: 'rows must not come after commands' };
  }
  if (commands.length === 0) return undefined;
  let above = BigInt(Math.max(state.revision, newestRow));
  for (const [at, command] of commands.entries()) {
    const fault = faultOfCommand(command, `commands[${at}]`, above);
    if (fault) return fault;
    above = command.leaderIndex ?? above;
  }
  return undefined;
}

/** Only commands move the leader index of a table that is no copy. */
function hasReplayed({ leaderIndex, fence }: FilledState): boolean {
  return leaderIndex > 0 && fence === undefined;
}

function faultOfCommand(
  command: mvccV1.Command,
  field: string,
  above: bigint,
): FillFault | undefined {
  const { type, leaderIndex, sequence } = command;
  if (leaderIndex === undefined) return malformed(`${field}.leader_index must be set`);
  if (leaderIndex > NUMBER_MAX) return malformed(`${field}.leader_index is too large`);
  if (leaderIndex <= above) {
    const text = `${field}.leader_index must be above ${above}, got ${leaderIndex}`;
    return { refusal: 'revision', text };
  }
  const fault = faultOfContent(command, field);
  if (fault || type !== SEQUENCE) return fault;
  return faultOfMembers(sequence, field, { above, upTo: leaderIndex });
}

/** Either all members have a revision of their own, or all have that of the sequence. */
function faultOfMembers(
  members: readonly mvccV1.Command[],
  field: string,
  { above, upTo }: { readonly above: bigint; readonly upTo: bigint },
): FillFault | undefined {
  const haveOwn = members[0]?.leaderIndex !== undefined;
  let last = above;
  for (const [at, member] of members.entries()) {
    const { type, leaderIndex } = member;
    const name = `${field}.sequence[${at}]`;
    if (type === SEQUENCE) return malformed(`${name}.type must not be SEQUENCE`);
    if ((leaderIndex !== undefined) !== haveOwn) {
      return malformed(`${name}.leader_index must be set in all members or in none`);
    }
    if (leaderIndex !== undefined && (leaderIndex <= last || leaderIndex > upTo)) {
      const bounds = `above ${last} and at most ${upTo}`;
      return malformed(`${name}.leader_index must be ${bounds}, got ${leaderIndex}`);
    }
    last = leaderIndex ?? last;
    const fault = faultOfContent(member, name);
    if (fault) return fault;
  }
  return undefined;
}

/** What every command needs, whatever its revision is. */
function faultOfContent(command: mvccV1.Command, field: string): FillFault | undefined {
  const { type, kv, txn, fence, fill, adoption } = command;
  if (!KNOWN.has(type)) return malformed(`${field}.type is not a known type: ${type}`);
  if ((type === PUT || type === DELETE) && !kv) return malformed(`${field}.kv must be set`);
  if (type === TXN && !txn) return malformed(`${field}.txn must be set`);
  if (fence) return malformed(`${field}.fence must not be set`);
  if (fill) return malformed(`${field}.fill must not be set`);
  return adoption && malformed(`${field}.adoption must not be set`);
}

function malformed(text: string): FillFault {
  return { refusal: 'malformed', text };
}
