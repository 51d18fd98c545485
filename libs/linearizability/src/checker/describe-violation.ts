/**
 * Why a history has no order, for a person to read.
 *
 * In: the result of a search. Out: the operations it got stuck on and the last ones before them, each
 * with a bar from its call to its return; one column is one call or return of those shown. It must
 * never print a whole history: what it shows is bounded.
 *
 *     client 4  write 3    ├──┤      17
 *     client 7  write 2 ?    ├────╌  18       of unknown outcome, was needed here
 *     client 1  read 3         ├─┤   stuck
 */
import { type CheckResult, type Model, type Operation } from './operation.js';

/** How many operations are shown of each sort, and how much of each. */
const LINEARIZED_SHOWN_MAX = 8;
const STUCK_SHOWN_MAX = 16;
const DESCRIPTION_MAX = 72;

interface Row {
  readonly operation: Operation<unknown, unknown>;
  readonly client: string;
  readonly text: string;
  readonly note: string;
}

export function describeViolation<S, I, O>(
  model: Model<S, I, O>,
  { longest, operations, verdict, steps }: CheckResult<S, I, O>,
): string {
  const { linearized, state, stuck } = longest;
  const described = (note: (at: number) => string) => (operation: Operation<I, O>, at: number) => ({
    operation,
    client: String(operation.client),
    text: shortened(
      model.describe?.(operation.input, operation.output) ??
        JSON.stringify([operation.input, operation.output]),
    ),
    note: note(at),
  });
  const before = linearized.slice(-LINEARIZED_SHOWN_MAX);
  const hidden = linearized.length - before.length;
  const rows: Row[] = [
    ...before.map(described((at) => String(hidden + at + 1))),
    ...stuck.slice(0, STUCK_SHOWN_MAX).map(described(() => 'stuck')),
  ];
  const shown = shortened(model.describeState?.(state) ?? JSON.stringify(state) ?? String(state));
  return [
    `${model.name}: ${verdict}; ${linearized.length} of ${operations} operations have an order ` +
      `(${steps} steps), none of the ${stuck.length} that could come next fits ${shown}`,
    ...timeline(rows),
    ...(stuck.length > STUCK_SHOWN_MAX ? [`  ... ${stuck.length - STUCK_SHOWN_MAX} more`] : []),
  ].join('\n');
}

function timeline(rows: readonly Row[]): string[] {
  const events = rows
    .flatMap(({ operation }) => [
      { time: operation.call, isReturn: 0 },
      { time: operation.return, isReturn: 1 },
    ])
    .filter(({ time }) => time !== Infinity)
    .sort((one, other) => one.time - other.time || one.isReturn - other.isReturn);
  const isAnyOpen = rows.some(({ operation }) => operation.return === Infinity);
  const width = events.length + (isAnyOpen ? 1 : 0);
  const columnOf = (time: number, isReturn: number): number =>
    events.findIndex((event) => event.time === time && event.isReturn === isReturn);
  const clientWidth = Math.max(0, ...rows.map(({ client }) => client.length));
  const textWidth = Math.max(0, ...rows.map(({ text }) => text.length));
  return rows.map(({ operation, client, text, note }) => {
    const from = columnOf(operation.call, 0);
    const isOpen = operation.return === Infinity;
    const to = isOpen ? events.length : columnOf(operation.return, 1);
    const bar = `${' '.repeat(from)}├${'─'.repeat(Math.max(0, to - from - 1))}${isOpen ? '╌' : '┤'}`;
    const label = `  client ${client.padStart(clientWidth)}  ${text.padEnd(textWidth)}`;
    return `${label}  ${bar.padEnd(width)}  ${note}`;
  });
}

/** The end of a long text says more than its beginning: that is where histories differ. */
function shortened(text: string): string {
  if (text.length <= DESCRIPTION_MAX) return text;
  const headLength = 20;
  const tail = text.slice(text.length - (DESCRIPTION_MAX - headLength - 3));
  return `${text.slice(0, headLength)}...${tail}`;
}
