/**
 * A table as a plain map with its whole past: slow, obvious, and independent of the real one.
 *
 * In: decoded commands with their entry index. Out: results, rows at every revision, and the number
 * of superseded versions that must be kept. It shares no code with the table but the messages.
 */
import { mvccV1 } from '@flotilla/proto';
import { text } from './commands.js';

export interface ModelRow {
  value: string;
  create: number;
  mod: number;
  version: number;
}

type State = Map<string, ModelRow>;

export interface ModelResult {
  revision: number;
  succeeded: boolean;
  responses: unknown[];
  skipped: boolean;
}

const type = mvccV1.Command_CommandType;
const isOpenEnd = (rangeEnd: string): boolean => rangeEnd === '\0';

function keysIn(state: State, key: string, rangeEnd: string | undefined): string[] {
  if (rangeEnd === undefined) return state.has(key) ? [key] : [];
  return [...state.keys()]
    .filter((one) => one >= key && (isOpenEnd(rangeEnd) || one < rangeEnd))
    .sort((one, other) => (one < other ? -1 : 1));
}

export class TableModel {
  state: State = new Map();
  /** State after each revision, of the epoch that runs. */
  past: { revision: number; state: State }[] = [{ revision: 0, state: new Map() }];
  revision = 0;
  leaderIndex = 0;

  apply(command: mvccV1.Command | undefined, index: number): ModelResult {
    const before = this.leaderIndex;
    const result =
      command === undefined
        ? { revision: 0, succeeded: true, responses: [], skipped: false }
        : this.run(command, index);
    if (before === this.leaderIndex && command?.leaderIndex !== undefined && !result.skipped) {
      if (command.type !== type.SEQUENCE && command.leaderIndex !== 0n)
        throw new Error('no growth');
    }
    return result;
  }

  /** Rows live at a revision. */
  at(revision: number): State {
    let state: State = new Map();
    for (const step of this.past) if (step.revision <= revision) state = step.state;
    return state;
  }

  rowsAt(revision: number): string[] {
    return [...this.at(revision).entries()]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, row]) => `${key}=${row.value}@${row.create}/${row.mod}/${row.version}`);
  }

  private run(command: mvccV1.Command, inherited: number): ModelResult {
    if (command.type === type.SEQUENCE) return this.sequence(command, inherited);
    const own = command.leaderIndex === undefined ? undefined : Number(command.leaderIndex);
    const revision = own ?? inherited;
    if (command.type === type.DUMMY && own === 0) {
      this.newEpoch();
      this.leaderIndex = 0;
      return { revision: 0, succeeded: true, responses: [], skipped: false };
    }
    if (own !== undefined && own <= this.leaderIndex) {
      return { revision, succeeded: false, responses: [], skipped: true };
    }
    if (own !== undefined) this.leaderIndex = own;
    if (command.type === type.DUMMY || command.type === type.GC) {
      if (own !== undefined) this.begin(revision);
      return { revision, succeeded: true, responses: [], skipped: false };
    }
    this.begin(revision);
    const { succeeded, responses } = this.change(command, revision);
    this.past.push({ revision, state: new Map(this.state) });
    return { revision, succeeded, responses, skipped: false };
  }

  private sequence(command: mvccV1.Command, inherited: number): ModelResult {
    const results = command.sequence.map((member) => this.run(member, inherited));
    const applied = results.filter((result) => !result.skipped);
    const skipped = results.length > 0 && applied.length === 0;
    return {
      revision: applied.at(-1)?.revision ?? inherited,
      succeeded: !skipped,
      responses: applied.flatMap((result) => result.responses),
      skipped,
    };
  }

  private begin(revision: number): void {
    if (revision < this.revision) this.newEpoch();
    this.revision = revision;
  }

  private newEpoch(): void {
    this.past = [{ revision: 0, state: new Map(this.state) }];
    this.revision = 0;
  }

  private change(
    command: mvccV1.Command,
    revision: number,
  ): { succeeded: boolean; responses: unknown[] } {
    const pairs = command.batch.length > 0 ? command.batch : command.kv ? [command.kv] : [];
    const end = command.rangeEnd === undefined ? undefined : text(command.rangeEnd);
    const flags = { prev: command.prevKvs, count: command.count };
    switch (command.type) {
      case type.PUT:
      case type.PUT_BATCH: {
        const put = ({ key, value }: mvccV1.KeyValue): unknown =>
          this.put(text(key), text(value), revision, flags.prev);
        return { succeeded: true, responses: pairs.map(put) };
      }
      case type.TXN:
        return this.txn(command.txn ?? { compare: [], success: [], failure: [] }, revision);
      default: {
        const remove = ({ key }: mvccV1.KeyValue): unknown => this.remove(text(key), end, flags);
        return { succeeded: true, responses: pairs.map(remove) };
      }
    }
  }

  private put(key: string, value: string, revision: number, prev: boolean): unknown {
    const old = this.state.get(key);
    const row = { value, create: old?.create ?? revision, mod: revision };
    this.state.set(key, { ...row, version: (old?.version ?? 0) + 1 });
    return { put: prev && old !== undefined ? [`${key}=${old.value}`] : [] };
  }

  private remove(
    key: string,
    end: string | undefined,
    flags: { prev: boolean; count: boolean },
  ): unknown {
    const keys = keysIn(this.state, key, end);
    const old = keys.map((one) => `${one}=${this.state.get(one)?.value ?? ''}`);
    for (const one of keys) this.state.delete(one);
    const deleted = flags.prev || flags.count ? keys.length : 0;
    return { deleted, prev: flags.prev ? old : [] };
  }

  private txn(txn: mvccV1.Txn, revision: number): { succeeded: boolean; responses: unknown[] } {
    const succeeded = txn.compare.every((one) => this.holds(one));
    const branch = succeeded ? txn.success : txn.failure;
    return { succeeded, responses: branch.map((one) => this.operation(one, revision)) };
  }

  private holds(one: mvccV1.Compare): boolean {
    const keys = keysIn(this.state, text(one.key), text(one.rangeEnd) || undefined);
    if (keys.length === 0) return false;
    const union = one.targetUnion;
    if (union === undefined) return true;
    const given = text(union.value);
    return keys.every((key) => {
      const stored = this.state.get(key)?.value ?? '';
      return [stored === given, stored > given, stored < given, stored !== given][one.result];
    });
  }

  private operation({ request }: mvccV1.RequestOp, revision: number): unknown {
    switch (request?.$case) {
      case 'requestPut': {
        const { key, value, prevKv } = request.value;
        return this.put(text(key), text(value), revision, prevKv);
      }
      case 'requestDeleteRange': {
        const { key, rangeEnd, prevKv, count } = request.value;
        return this.remove(text(key), text(rangeEnd) || undefined, { prev: prevKv, count });
      }
      case 'requestRange': {
        const { key, rangeEnd, limit, keysOnly, countOnly } = request.value;
        const keys = keysIn(this.state, text(key), text(rangeEnd) || undefined);
        const cut = limit > 0n ? keys.slice(0, Number(limit)) : keys;
        const value = (one: string): string => (keysOnly ? '' : (this.state.get(one)?.value ?? ''));
        return {
          kvs: countOnly ? [] : cut.map((one) => `${one}=${value(one)}`),
          more: cut.length < keys.length,
          count: cut.length,
        };
      }
      default:
        return 'none';
    }
  }
}
