/**
 * Sessions: which gateways live, so that what they hold costs one row and not one a table.
 *
 *   opened --told again in time--> alive --not told for its ttl--> over --told again--> alive
 *                                    `--ended, or over when another one is opened--> gone for good
 *
 * In: rows of the catalog as they change, wishes of gateways. Out: who lives, by a clock of this node that
 * never jumps, from when it saw the row change: clocks that differ end no session. A new leader of the
 * catalog begins the time of all that live anew, because nobody could tell it anything in between.
 * Nodes may judge differently: every change says which row of which session it was made from.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { type Catalog } from '../catalog/catalog.service.js';
import { type SessionInfo } from '../catalog/catalog-state.js';
import {
  encodeSession,
  endSessionCommand,
  nextSession,
  openSessionCommand,
  sessionKey,
  type StoredSession,
} from '../catalog/lease-rows.js';
import { type NodeClock } from '../node/node-clock.js';

/** Gateways of one cluster that live at a time. */
export const SESSIONS_MAX = 64;
/** How often a lost race is tried again before the caller is told to come back. */
const ATTEMPTS_MAX = 8;

export interface SessionWish {
  readonly holder: string;
  /** Of the session that it has; 0 to open one. */
  readonly token: number;
  readonly ttlMs: number;
}

export interface LivingSession {
  readonly holder: string;
  readonly remainingMs: number;
}

interface Seen {
  stored: Buffer;
  atMs: number;
  isOver: boolean;
}

export class Sessions {
  private readonly seen = new Map<string, Seen>();
  private term: number;

  constructor(
    private readonly catalog: Catalog,
    private readonly clock: Pick<NodeClock, 'nowMs'>,
  ) {
    this.term = catalog.group.term;
    for (const holder of catalog.state.sessions.keys()) this.look(holder);
    catalog.onChange((changes) => {
      for (const change of changes) if (change.kind === 'session') this.look(change.holder);
    });
  }

  /** Those that live, in the order of their holders. */
  living(): LivingSession[] {
    const { sessions } = this.catalog.state;
    const all = Array.from(sessions, ([holder, { token }]) => ({
      holder,
      remainingMs: this.remainingMs(holder, token),
    }));
    const living = all.filter(({ remainingMs }) => remainingMs > 0);
    return living.sort((a, b) => (a.holder < b.holder ? -1 : 1));
  }

  /** 0 once others may have what is held under it. */
  remainingMs(holder: string, token: number): number {
    this.followTerm();
    const info = this.catalog.state.sessions.get(holder);
    const seen = this.seen.get(holder);
    if (info?.token !== token || !seen || seen.isOver) return 0;
    const remainingMs = seen.atMs + info.ttlMs - this.clock.nowMs();
    if (remainingMs > 0) return remainingMs;
    seen.isOver = true;
    return 0;
  }

  /** The row of a session, whether it lives or not; undefined if it is gone for good. */
  row(holder: string, token: number): StoredSession | undefined {
    const info = this.catalog.state.sessions.get(holder);
    return info?.token === token ? { holder, stored: info.stored } : undefined;
  }

  /** The token of the session; undefined if there is no such one any more. */
  async hold(wish: SessionWish, deadlineMs: number): Promise<number | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await this.catalog.barrier(deadlineMs);
      if (wish.token === 0) {
        const token = await this.open(wish, attempt > 0, deadlineMs);
        if (token !== undefined) return token;
        continue;
      }
      const info = this.catalog.state.sessions.get(wish.holder);
      if (info?.token === wish.token) {
        if (await this.beat(wish, info, deadlineMs)) return wish.token;
      } else if (attempt > 0) return undefined;
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'sessions change too fast, try again');
  }

  /** Whether there still was such a session. */
  async end(holder: string, token: number, deadlineMs: number): Promise<boolean> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attempt > 0) await this.catalog.barrier(deadlineMs);
      const row = this.row(holder, token);
      if (!row && attempt > 0) return false;
      if (!row) continue;
      const { command, doneBy } = endSessionCommand(row);
      if ((await this.catalog.propose(command, deadlineMs)).succeeded === doneBy) return true;
    }
    throw new GrpcStatusError(status.UNAVAILABLE, 'the session changes too fast, try again');
  }

  private async open(
    { holder, ttlMs }: SessionWish,
    isNew: boolean,
    deadlineMs: number,
  ): Promise<number | undefined> {
    const { state } = this.catalog;
    const over: StoredSession[] = [];
    for (const [other, { token, stored }] of state.sessions) {
      if (this.remainingMs(other, token) === 0) over.push({ holder: other, stored });
    }
    if (state.sessions.size - over.length >= SESSIONS_MAX) {
      if (!isNew) return undefined;
      const text = `a cluster has at most ${SESSIONS_MAX} gateways at a time`;
      throw new GrpcStatusError(status.RESOURCE_EXHAUSTED, text);
    }
    const { sessionSequence } = state;
    const token = nextSession(sessionSequence);
    const row = { token: BigInt(token), ttlMs: BigInt(ttlMs), beats: 0n };
    const { command, doneBy } = openSessionCommand(holder, row, sessionSequence, over);
    const { succeeded } = await this.catalog.propose(command, deadlineMs);
    return succeeded === doneBy ? token : undefined;
  }

  private beat(wish: SessionWish, info: SessionInfo, deadlineMs: number): Promise<boolean> {
    const row = { token: BigInt(info.token), ttlMs: BigInt(wish.ttlMs), beats: info.beats + 1n };
    const value = encodeSession(row);
    return this.catalog.replace(sessionKey(wish.holder), info.stored, value, deadlineMs);
  }

  private look(holder: string): void {
    this.followTerm();
    const info = this.catalog.state.sessions.get(holder);
    if (!info) {
      this.seen.delete(holder);
      return;
    }
    // A snapshot tells of all rows, also of those that are as they were.
    if (this.seen.get(holder)?.stored.equals(info.stored)) return;
    this.seen.set(holder, { stored: info.stored, atMs: this.clock.nowMs(), isOver: false });
  }

  private followTerm(): void {
    const { term } = this.catalog.group;
    if (term === this.term) return;
    this.term = term;
    for (const seen of this.seen.values()) if (!seen.isOver) seen.atMs = this.clock.nowMs();
  }
}
