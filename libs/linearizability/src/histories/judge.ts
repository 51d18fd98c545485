/**
 * A directory of recorded histories, each judged by the model of its format.
 *
 * In: a directory. Out, file by file: the verdict that was expected and the one that was found. Which
 * format a file has is told by its name: `*.log` of Jepsen, `*.txt` of the store of texts, `*.jsonl`
 * our own. The expected verdict is the header's, else what `expected.txt` beside the file says, else
 * "-ok" or "-bad" in the name. A file that cannot be read or judged must never count as right.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { checkByKey, type KeyedResult } from '../checker/check-by-key.js';
import { describeViolation } from '../checker/describe-violation.js';
import {
  HistoryError,
  type CheckOptions,
  type Model,
  type Operation,
  type Verdict,
} from '../checker/operation.js';
import { decodeHistory, historyKeyOf, type ExpectedVerdict } from '../formats/flotilla-history.js';
import { decodeJepsenLog } from '../formats/jepsen-log.js';
import { decodeKvLog, type KeyedTextInput } from '../formats/kv-log.js';
import { eachLine } from '../formats/pairing.js';
import { kvModel } from '../models/kv-model.js';
import { registerModel } from '../models/register-model.js';
import { textModel, type TextOutput, type TextState } from '../models/text-model.js';

const EXPECTED_FILE = 'expected.txt';

export interface Judgement {
  /** Path below the directory. */
  readonly name: string;
  /** Absent where nothing says what it should be; such a history is neither right nor wrong. */
  readonly expected: ExpectedVerdict | undefined;
  readonly found: Verdict | 'unreadable';
  readonly operations: number;
  readonly steps: number;
  /** Why it is not linearizable, or not readable. */
  readonly report: string | undefined;
}

type Judged = Omit<Judgement, 'name' | 'expected'>;

interface Format {
  judge(text: string, options: CheckOptions): Judged;
  /** What the file itself says that it is. */
  expected?(text: string): ExpectedVerdict;
}

const FORMATS: Readonly<Record<string, Format>> = {
  '.log': {
    judge: (text, options) =>
      judged(registerModel, decodeJepsenLog(text), () => 'the register', options),
  },
  '.txt': {
    judge: (text, options) =>
      judged<TextState, KeyedTextInput, TextOutput>(
        textModel,
        decodeKvLog(text),
        ({ input }) => input.key,
        options,
      ),
  },
  '.jsonl': {
    judge: (text, options) =>
      judged(kvModel, decodeHistory(text).operations, historyKeyOf, options),
    expected: (text) => decodeHistory(text).expected,
  },
};

/** All histories below a directory: those found, and those that only `expected.txt` knows. */
export function historiesBelow(root: string, below = ''): string[] {
  const entries = readdirSync(join(root, below), { withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => name !== EXPECTED_FILE && FORMATS[extname(name)] !== undefined);
  const named = new Set([...files, ...expectedIn(join(root, below)).keys()]);
  const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return [
    ...[...named].map((name) => join(below, name)).sort(),
    ...folders.sort().flatMap((name) => historiesBelow(root, join(below, name))),
  ];
}

export function judgeHistory(root: string, name: string, options: CheckOptions = {}): Judgement {
  const path = join(root, name);
  const beside = expectedIn(dirname(path)).get(basename(path)) ?? expectedByName(name);
  let expected = beside;
  try {
    const format = FORMATS[extname(name)];
    if (format === undefined) throw new HistoryError(`no format is known for ${name}`);
    if (!existsSync(path)) throw new HistoryError(`${EXPECTED_FILE} names it, but it is missing`);
    const text = readFileSync(path, 'utf8');
    expected = format.expected?.(text) ?? beside;
    return { name, expected, ...format.judge(text, options) };
  } catch (error) {
    if (!(error instanceof HistoryError)) throw error;
    return { name, expected, found: 'unreadable', operations: 0, steps: 0, report: error.message };
  }
}

/** Whether a history counts at all, and as right; one that cannot be read always counts. */
export function isRight({ expected, found }: Judgement): boolean | undefined {
  if (found === 'unreadable') return false;
  return expected === undefined ? undefined : found === expected;
}

function judged<S, I, O>(
  model: Model<S, I, O>,
  operations: readonly Operation<I, O>[],
  keyOf: (operation: Operation<I, O>) => string,
  options: CheckOptions,
): Judged {
  const result = checkByKey(model, operations, keyOf, options);
  return {
    found: result.verdict,
    operations: operations.length,
    steps: result.steps,
    report: reportOf(model, result),
  };
}

function reportOf<S, I, O>(
  model: Model<S, I, O>,
  { violation, undecided }: KeyedResult<S, I, O>,
): string | undefined {
  if (violation !== undefined) {
    return `${violation.key}: ${describeViolation(model, violation.result)}`;
  }
  return undecided.length === 0 ? undefined : `undecided: ${undecided.join(', ')}`;
}

function expectedByName(name: string): ExpectedVerdict | undefined {
  const [, word] = /-(ok|bad)\b/.exec(basename(name)) ?? [];
  if (word === undefined) return undefined;
  return word === 'ok' ? 'linearizable' : 'not-linearizable';
}

function expectedIn(directory: string): Map<string, ExpectedVerdict> {
  const expected = new Map<string, ExpectedVerdict>();
  const path = join(directory, EXPECTED_FILE);
  if (!existsSync(path)) return expected;
  eachLine(readFileSync(path, 'utf8'), (line) => {
    const [name = '', verdict] = line.split(/\s+/);
    if (verdict !== 'linearizable' && verdict !== 'not-linearizable') {
      throw new HistoryError(`${path}: not a verdict: "${line}"`);
    }
    expected.set(name, verdict);
  });
  return expected;
}
