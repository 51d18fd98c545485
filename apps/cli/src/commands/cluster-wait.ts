/**
 * `--wait`: looks at the cluster until a change has been made.
 *
 *   look -> nothing left: done
 *        -> something left, or nobody to ask now: pause, look again
 *        -> time is up, or nobody to ask for long: an error that says what was still to be done
 *
 * Must never sound as if the change had failed: it was decided, and goes on without anybody looking.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ClientError } from '@flotilla/client';
import { Option, type Command } from 'commander';
import { parseDuration, toDuration } from '../settings.js';

export interface WaitFlags {
  readonly wait: boolean;
  readonly waitTimeout: number;
}

/** Says what is left to be done; undefined when that is nothing. */
export type Look = () => Promise<string | undefined>;

export interface WaitLimits {
  readonly timeoutMs: number;
  /** Between two looks. */
  readonly pauseMs: number;
  /** For how long the cluster may be out of reach: the node that was asked may be the one that goes. */
  readonly lostMs: number;
}

const PAUSE_MS = 250;
const LOST_MS = 30_000;
const TIMEOUT = '10m';

export function addWaitFlags(command: Command): Command {
  return command
    .option('--wait', 'return when it is done', false)
    .addOption(
      new Option('--wait-timeout <duration>', 'how long to wait')
        .default(parseDuration(TIMEOUT), TIMEOUT)
        .argParser(toDuration('--wait-timeout')),
    );
}

/** @param hint adds to the error what may keep the change from being made */
export async function waited(
  { wait, waitTimeout }: WaitFlags,
  what: string,
  look: Look,
  hint: () => Promise<string>,
): Promise<void> {
  if (!wait) return;
  const limits = { timeoutMs: waitTimeout, pauseMs: PAUSE_MS, lostMs: LOST_MS };
  await waitUntilDone(what, look, hint, limits);
}

export async function waitUntilDone(
  what: string,
  look: Look,
  hint: () => Promise<string>,
  limits: WaitLimits,
): Promise<void> {
  const untilMs = performance.now() + limits.timeoutMs;
  let lost: { readonly sinceMs: number; readonly error: ClientError } | undefined;
  for (;;) {
    let left = '';
    try {
      const seen = await look();
      if (seen === undefined) return;
      left = seen;
      lost = undefined;
    } catch (error) {
      if (!(error instanceof ClientError) || !isOutOfReach(error)) throw error;
      lost = { sinceMs: lost?.sinceMs ?? performance.now(), error };
    }
    const nowMs = performance.now();
    if (lost && (nowMs >= untilMs || nowMs - lost.sinceMs >= limits.lostMs)) {
      const { message } = lost.error;
      throw gaveUp(`lost the cluster while waiting for ${what}: ${message}`, lost.error);
    }
    if (nowMs >= untilMs) {
      throw gaveUp(`waited ${limits.timeoutMs / 1_000} s for ${what}: ${left}${await hint()}`);
    }
    await sleep(Math.min(limits.pauseMs, untilMs - nowMs));
  }
}

function isOutOfReach({ code, retryable }: ClientError): boolean {
  return retryable || code === 'DEADLINE_EXCEEDED';
}

function gaveUp(text: string, cause?: unknown): Error {
  return new Error(`${text}; it goes on in the background`, { cause });
}
