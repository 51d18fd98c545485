/**
 * h2load (nghttp2) as another client, to check our own against: one message, always the same.
 *
 * In: a plan. Out: a result of the same shape. h2load looks at the HTTP status alone, prints no
 * percentiles (they come from its log of requests) and always uses the same key.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cpuSeconds, quantile } from '@flotilla/e2e/figures';
import { temporaryFolder } from '@flotilla/e2e/harness';
import type { Program } from '../tools/debian-program.js';
import type { LoadPlan, LoadResult } from './plan.js';
import { GRPC_PREFIX_BYTES, Numbers, RequestFiller } from './request-filler.js';

const SAMPLE_MS = 50;

export async function runH2load(program: Program, plan: LoadPlan): Promise<LoadResult> {
  const [template] = plan.templates;
  if (!template || plan.templates.length > 1 || plan.course.kind !== 'timed') {
    throw new Error('h2load sends one message over and over: not what this scenario needs');
  }
  const folder = temporaryFolder('h2load');
  const [body, log] = [join(folder, 'body'), join(folder, 'log')];
  const filler = new RequestFiller(template, new Numbers());
  const message = Buffer.alloc(filler.length);
  filler.fill(message, 0, Math.floor(plan.keys / 2));
  writeFileSync(body, message);
  const shape = [`-c${plan.connections}`, `-m${plan.streams}`, '-t1'];
  const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const url = `http://${plan.host}:${plan.port}${template.path}`;
  const args = (seconds: number) => [...shape, `-D${seconds}`, '-d', body, ...headers];
  try {
    const { course } = plan;
    const warm = await runOnce(program, [...args(Math.ceil(course.warmUpSeconds)), url]);
    const before = serverSeconds(plan);
    const run = await runOnce(program, [...args(course.seconds), `--log-file=${log}`, url]);
    const after = serverSeconds(plan);
    const times = readTimes(log);
    const [p50Ms, p99Ms] = [quantile(times, 0.5), quantile(times, 0.99)];
    const { requests } = run;
    const answerBytesMin = Math.floor(run.dataBytes / requests) - GRPC_PREFIX_BYTES;
    const answered = requests + warm.requests;
    return {
      requests,
      seconds: course.seconds,
      p50Ms,
      p99Ms,
      maxMs: times.at(-1) ?? NaN,
      serverCpuMicros: (after - before) * 1e6,
      clientCpuMicros: run.cpuSeconds * 1e6,
      templates: [{ name: template.name, requests, answered, p50Ms, p99Ms, answerBytesMin }],
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function serverSeconds({ pids }: LoadPlan): number {
  return pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

interface Run {
  readonly requests: number;
  readonly dataBytes: number;
  readonly cpuSeconds: number;
}

async function runOnce(program: Program, args: readonly string[]): Promise<Run> {
  const child = spawn(program.path, args, { env: { ...process.env, ...program.env } });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
  let used = 0;
  const sampler = setInterval(() => {
    if (child.exitCode === null && child.pid !== undefined) used = cpuSeconds(child.pid);
  }, SAMPLE_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearInterval(sampler);
  const [, done, failed] = / (\d+) done, \d+ succeeded, (\d+) failed/.exec(output) ?? [];
  if (code !== 0 || done === undefined || failed !== '0') throw new Error(`h2load:\n${output}`);
  const dataBytes = Number(/headers .*, [\d.]+[KMGT]?B \((\d+)\) data/.exec(output)?.[1] ?? 0);
  return { requests: Number(done), dataBytes, cpuSeconds: used };
}

/** Milliseconds of each request, ascending. */
function readTimes(log: string): number[] {
  const times: number[] = [];
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, status, micros] = line.split('\t');
    if (status === '200') times.push(Number(micros) / 1000);
  }
  return times.sort((a, b) => a - b);
}
