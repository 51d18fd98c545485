// Runs the steps of a command, a few at a time, and says at the end how long each one took.
//
// In: steps, each of them one or more Node programs. Out: what they print, in one piece a step, and
// a closing table, also when the command fails. A step that fails does not stop
// those beside it, so that one run tells of all failures; whatever comes afterwards does not begin.
import { spawn } from 'node:child_process';
import { ROOT } from './setup.mjs';

const OUTPUT_CHARS_MAX = 64 * 1024 * 1024;
/** So much of what a failed step printed last is printed once more at the end, where it is looked for. */
const FAILED_TAIL_CHARS = 6_000;
const ENV = { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false', FORCE_COLOR: '0' };

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {string[][]} programs Scripts with their arguments, one after the other.
 * @property {string} [cwd]
 * @property {(output: string) => string | undefined} [objection] What is wrong with the output of
 *   a step whose programs all ended well.
 */

/** @type {{ name: string, startMs: number, endMs?: number, outcome?: string }[]} */
const times = [];
const startMs = performance.now();
process.on('exit', printTimes);

function begin(name) {
  const time = { name, startMs: performance.now() };
  times.push(time);
  return (outcome) => Object.assign(time, { endMs: performance.now(), outcome });
}

/** Does something on this thread as a step of its own; it may end the process. */
export function timed(name, action) {
  const end = begin(name);
  const result = action();
  end('ok');
  return result;
}

/** Runs all steps, at most so many at once; ends the process when one of them failed. */
export async function runSteps(steps, atOnce) {
  const waiting = [...steps];
  const failed = [];
  const lane = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      const { ok, output } = await runStep(step, atOnce === 1);
      if (!ok) failed.push({ name: step.name, output });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  if (failed.length === 0) return;
  for (const { name, output } of failed) {
    console.error(`\n> end of what ${name} printed\n${output.trimEnd().slice(-FAILED_TAIL_CHARS)}`);
  }
  console.error(`\nfailed: ${failed.map(({ name }) => name).join(', ')}`);
  process.exit(1);
}

async function runStep(step, alone) {
  const end = begin(step.name);
  console.log(`\n> ${step.name}`);
  let output = '';
  const take = (text) => {
    if (alone) process.stdout.write(text);
    if (output.length < OUTPUT_CHARS_MAX) output += text;
  };
  let problem;
  for (const program of step.programs) {
    problem ??= await runProgram(program, step.cwd, take);
  }
  problem ??= step.objection?.(output);
  if (!alone) console.log(`\n< ${step.name}\n${output.trimEnd()}`);
  if (problem !== undefined) console.error(`${step.name}: ${problem}`);
  end(problem === undefined ? 'ok' : 'failed');
  return { ok: problem === undefined, output };
}

/** Resolves to what went wrong, if anything. */
function runProgram(program, cwd = '.', take) {
  return new Promise((fulfil) => {
    const child = spawn(process.execPath, program, {
      cwd: `${ROOT}/${cwd}`,
      env: ENV,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', take);
    child.on('error', (error) => fulfil(error.message));
    child.on('close', (code, signal) => {
      fulfil(code === 0 ? undefined : `ended with ${signal ?? `code ${code}`}`);
    });
  });
}

/** The closing table; printed once. */
export function printTimes() {
  if (times.length === 0) return;
  const now = performance.now();
  const rows = times
    .splice(0)
    .map(({ name, startMs: from, endMs: to = now, outcome = 'not finished' }) => [
      name,
      seconds(from - startMs),
      seconds(to - from),
      outcome,
    ]);
  const table = [
    ['step', 'begins at', 'seconds', ''],
    ...rows,
    ['all', '', seconds(now - startMs), ''],
  ];
  const width = Math.max(...table.map(([name]) => name.length));
  for (const [name, from, took, outcome] of table) {
    console.log(`${name.padEnd(width)} ${from.padStart(10)} ${took.padStart(9)}  ${outcome}`);
  }
}

function seconds(ms) {
  return (ms / 1000).toFixed(1);
}
