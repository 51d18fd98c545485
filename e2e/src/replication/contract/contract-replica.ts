/**
 * A table as a follower of Regatta has it: what it gets, applied in order.
 *
 * In: answers of polls, records of a snapshot. Out: pairs, and the index they stand for. Refuses an index
 * that does not grow by one: such a server would skip a command, or apply one twice (defect B5).
 */
import {
  type Command,
  COMMAND,
  type Compare,
  type Operation,
  type Pair,
  type ReplicateAnswer,
} from './contract-messages.js';

const RESULT = { equal: 0, greater: 1, less: 2 } as const;

export class ContractReplica {
  readonly kinds = new Set<number>();
  private readonly rows = new Map<string, string>();
  private at = 0;

  constructor(private readonly table: string) {}

  /** Index of the last command that was applied. */
  get index(): number {
    return this.at;
  }

  get pairs(): [string, string][] {
    return [...this.rows].sort(([a], [b]) => (a < b ? -1 : 1));
  }

  takePoll(answers: readonly ReplicateAnswer[]): void {
    for (const [nth, answer] of answers.entries()) {
      const isLast = nth === answers.length - 1;
      if ((answer.kind === 'final') !== isLast) throw new Error(`message ${nth} is ${answer.kind}`);
      if (answer.kind !== 'commands') continue;
      if (answer.commands.length === 0) throw new Error('a message is without commands');
      for (const { leaderIndex, command } of answer.commands) this.take(leaderIndex, command);
    }
  }

  takeSnapshot(commands: readonly Command[]): void {
    this.rows.clear();
    this.takeRecords(commands, [COMMAND.put]);
  }

  /** Records of an incremental one, on top of what is there. */
  takeChanges(commands: readonly Command[]): void {
    this.takeRecords(commands, [COMMAND.put, COMMAND.delete]);
  }

  private takeRecords(commands: readonly Command[], kinds: readonly number[]): void {
    const end = commands.at(-1);
    if (end?.type !== COMMAND.dummy || end.leaderIndex === undefined || end.kv !== undefined) {
      throw new Error('a snapshot does not end with a DUMMY that has an index');
    }
    for (const command of commands.slice(0, -1)) {
      if (!kinds.includes(command.type)) throw new Error(`a record is of type ${command.type}`);
      this.apply(command);
    }
    this.at = end.leaderIndex;
  }

  private take(index: number, command: Command): void {
    if (index !== this.at + 1) throw new Error(`index ${index} follows ${this.at}`);
    if (command.leaderIndex !== index) {
      throw new Error(`the command of index ${index} has index ${command.leaderIndex ?? 'none'}`);
    }
    if (command.table !== this.table) throw new Error(`a command is of table ${command.table}`);
    this.kinds.add(command.type);
    this.apply(command);
    this.at = index;
  }

  private apply({ type, kv, batch, txn, rangeEnd, sequence }: Command): void {
    if (type === COMMAND.put) this.put(needed(kv));
    else if (type === COMMAND.delete) this.remove(needed(kv).key, rangeEnd);
    else if (type === COMMAND.putBatch) for (const pair of batch) this.put(pair);
    else if (type === COMMAND.deleteBatch) for (const { key } of batch) this.remove(key, undefined);
    else if (type === COMMAND.sequence) for (const each of sequence) this.apply(each);
    else if (type === COMMAND.txn) {
      const { compare, success, failure } = needed(txn);
      const isMet = compare.every((each) => this.holds(each));
      for (const operation of isMet ? success : failure) this.run(operation);
    }
  }

  private put({ key, value }: Pair): void {
    this.rows.set(key.toString('latin1'), value.toString('latin1'));
  }

  private remove(key: Buffer, rangeEnd: Buffer | undefined): void {
    for (const name of this.within(key, rangeEnd)) this.rows.delete(name);
  }

  private run(operation: Operation): void {
    if (operation.kind === 'put') this.put(operation);
    if (operation.kind === 'delete') {
      this.remove(operation.key, operation.rangeEnd.length > 0 ? operation.rangeEnd : undefined);
    }
  }

  /** A key that is missing meets no condition; a range without keys neither. */
  private holds({ key, value, result, rangeEnd }: Compare): boolean {
    const names = this.within(key, rangeEnd.length > 0 ? rangeEnd : undefined);
    return names.length > 0 && names.every((name) => meets(this.rows.get(name), value, result));
  }

  private within(key: Buffer, rangeEnd: Buffer | undefined): string[] {
    const from = key.toString('latin1');
    if (rangeEnd === undefined) return this.rows.has(from) ? [from] : [];
    const to = rangeEnd.toString('latin1');
    return [...this.rows.keys()].filter((name) => name >= from && (to === '\0' || name < to));
  }
}

function meets(stored: string | undefined, value: Buffer | undefined, result: number): boolean {
  if (stored === undefined || value === undefined) return stored !== undefined;
  const wanted = value.toString('latin1');
  if (result === RESULT.equal) return stored === wanted;
  if (result === RESULT.greater) return stored > wanted;
  return result === RESULT.less ? stored < wanted : stored !== wanted;
}

function needed<T>(operand: T | undefined): T {
  if (operand === undefined) throw new Error('a command is without its operand');
  return operand;
}
