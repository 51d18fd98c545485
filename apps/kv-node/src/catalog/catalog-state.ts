/**
 * What the catalog says, decoded and in memory: tables by name and id, nodes, the cluster's id.
 *
 * In: keys that were changed, with their values. Out: maps to look things up in, and what changed.
 * It is a view of the catalog's table and never ahead of it: only applied rows get here.
 */
import { flotillaV1 } from '@flotilla/proto';
import {
  CLUSTER_ID_KEY,
  CLUSTER_KEY,
  DELETING_PREFIX,
  LEASE_PREFIX,
  NODE_PREFIX,
  PURPOSE_COUNT_KEY,
  PURPOSE_PREFIX,
  SEQUENCE_KEY,
  SESSION_PREFIX,
  SESSION_SEQUENCE_KEY,
  SHADOW_PREFIX,
  TABLE_PREFIX,
  decodeRow,
  type TableSource,
} from './catalog-rows.js';

export interface TableInfo {
  readonly id: number;
  readonly name: string;
  readonly epoch: number;
  /** Nodes that hold, or are to hold, a replica. */
  readonly replicas: readonly number[];
  readonly founders: readonly number[];
  /** Nodes that held a replica before a change that is not done yet. */
  readonly movingFrom: readonly number[];
  readonly preferredLeader: number;
  /** What it is a copy of; absent if it is a table of this cluster's own. */
  readonly source?: TableSource;
  /** Entry of its log up to which it was filled before it took its name over; 0 if it never was. */
  readonly completeAt: number;
  /** Of a copy that is to be made anew. */
  readonly renewalWanted?: true;
  /** It is filled out of sight, to take its name over. */
  readonly shadow?: ShadowInfo;
  /** The row as it lies in the catalog, for conditional changes. */
  readonly stored: Buffer;
}

export interface ShadowInfo {
  readonly purpose: string;
  /** Of the last Begin; older ones write nothing more. */
  readonly token: number;
  readonly begunAtMs: number;
  /** When it was known to be filled; not noted with each batch. */
  readonly filledAtMs: number;
  /** That a copy was wanted anew was known before anything was filled. */
  readonly renews?: true;
}

export type NodeState = 'joining' | 'active' | 'drained' | 'leaving' | 'removed';
/** In the order of `NodeRow.State`. */
export const NODE_STATES: readonly NodeState[] = [
  'joining',
  'active',
  'drained',
  'leaving',
  'removed',
];

export interface NodeInfo {
  readonly id: number;
  readonly name: string;
  readonly raftAddress: string;
  readonly clientUrl: string;
  readonly identity: string;
  readonly state: NodeState;
  readonly replaces: number;
  readonly stored: Buffer;
}

/** Who may do something alone, for a while. */
export interface LeaseInfo {
  /** Empty once it was given back. */
  readonly holder: string;
  readonly token: number;
  /** On the wall clock of whoever proposed it; 0 of a lease that lasts as long as a session. */
  readonly expiresAtMs: number;
  /** Token of the session under which it was taken. */
  readonly session: number;
  readonly stored: Buffer;
}

/** A gateway that lives, or did when it was last heard of. */
export interface SessionInfo {
  readonly token: number;
  readonly ttlMs: number;
  /** How often it was told that it lives. */
  readonly beats: bigint;
  readonly stored: Buffer;
}

/** What became of the row of a table, whether it is served or filled out of sight. */
export interface TableChange {
  readonly kind: 'table';
  readonly before: TableInfo | undefined;
  readonly now: TableInfo | undefined;
  /** The table that was before has another key now. */
  readonly goesOn?: true;
}

/** What the cluster is in replication. */
export interface ClusterInfo {
  /** Its own if it was promoted; else the highest that it has followed, 0 if it never heard of one. */
  readonly generation: number;
  /** Id of the leader cluster that has, or had, the generation it followed; empty if it never did. */
  readonly leaderClusterId: string;
  readonly promoted: boolean;
  readonly stored: Buffer | undefined;
}

/** Where no row says otherwise. */
const NOT_TOLD: ClusterInfo = {
  generation: 0,
  leaderClusterId: '',
  promoted: false,
  stored: undefined,
};
/** Of a leader cluster that was never anything else. */
const FIRST_GENERATION = 1;

/** What became of one key. */
export type CatalogChange =
  | TableChange
  | { readonly kind: 'deleting'; readonly id: number; readonly isListed: boolean }
  | { readonly kind: 'node'; readonly id: number }
  | { readonly kind: 'lease' | 'purpose' }
  /** `isSame`: it has only told that it lives. */
  | { readonly kind: 'session'; readonly holder: string; readonly isSame: boolean }
  | { readonly kind: 'system' };

export class CatalogState {
  readonly tables = new Map<string, TableInfo>();
  /** Tables that are filled out of sight, by the names that they are to take over. */
  readonly shadows = new Map<string, TableInfo>();
  /** All of both. */
  readonly tablesById = new Map<number, TableInfo>();
  readonly nodes = new Map<number, NodeInfo>();
  /** By the id of the table in this cluster. */
  readonly leases = new Map<number, LeaseInfo>();
  /** By their holders. */
  readonly sessions = new Map<string, SessionInfo>();
  /** Token of the last session as stored; undefined before the first one. */
  sessionSequence: Buffer | undefined;
  /** By what they are for. */
  readonly purposes = new Map<string, LeaseInfo>();
  /** How many of them there are, as stored; undefined before the first one. */
  purposeCount: Buffer | undefined;
  /** Ids of deleted tables whose data may still be on disk. */
  readonly deleting = new Set<number>();
  /** Tables whose replica set is being changed. */
  readonly moving = new Set<number>();
  clusterId = '';
  cluster = NOT_TOLD;
  /** Value of the last used table id as stored; undefined before the first table. */
  sequence: Buffer | undefined;

  /** Ids of tables that are copies. */
  readonly copies = new Set<number>();

  /** Of this cluster as a leader cluster. */
  get generation(): number {
    return Math.max(FIRST_GENERATION, this.cluster.promoted ? this.cluster.generation : 0);
  }

  /** Keys of all rows that are held here. */
  keys(): string[] {
    return [
      ...Array.from(this.tables.keys(), (name) => `${TABLE_PREFIX.toString()}${name}`),
      ...Array.from(this.shadows.keys(), (name) => `${SHADOW_PREFIX.toString()}${name}`),
      ...Array.from(this.deleting, (id) => `${DELETING_PREFIX.toString()}${id}`),
      ...Array.from(this.leases.keys(), (id) => `${LEASE_PREFIX.toString()}${id}`),
      ...Array.from(this.sessions.keys(), (name) => `${SESSION_PREFIX.toString()}${name}`),
      ...Array.from(this.purposes.keys(), (name) => `${PURPOSE_PREFIX.toString()}${name}`),
      ...Array.from(this.nodes.keys(), (id) => `${NODE_PREFIX.toString()}${id}`),
    ];
  }

  /** Takes over the value a key has now; undefined if it is gone. */
  set(key: Buffer, value: Buffer | undefined): CatalogChange | undefined {
    if (startsWith(key, TABLE_PREFIX)) {
      return this.setTable(this.tables, suffix(key, TABLE_PREFIX), value);
    }
    if (startsWith(key, SHADOW_PREFIX)) {
      return this.setTable(this.shadows, suffix(key, SHADOW_PREFIX), value);
    }
    if (startsWith(key, DELETING_PREFIX)) {
      return this.setDeleting(Number(suffix(key, DELETING_PREFIX)), value);
    }
    if (startsWith(key, NODE_PREFIX)) return this.setNode(Number(suffix(key, NODE_PREFIX)), value);
    if (startsWith(key, LEASE_PREFIX)) {
      setLease(this.leases, Number(suffix(key, LEASE_PREFIX)), value);
      return { kind: 'lease' };
    }
    if (startsWith(key, SESSION_PREFIX)) return this.setSession(suffix(key, SESSION_PREFIX), value);
    if (startsWith(key, PURPOSE_PREFIX)) {
      setLease(this.purposes, suffix(key, PURPOSE_PREFIX), value);
      return { kind: 'purpose' };
    }
    if (key.equals(PURPOSE_COUNT_KEY)) this.purposeCount = value;
    else if (key.equals(SESSION_SEQUENCE_KEY)) this.sessionSequence = value;
    else if (key.equals(SEQUENCE_KEY)) this.sequence = value;
    else if (key.equals(CLUSTER_KEY)) this.cluster = value ? toClusterInfo(value) : NOT_TOLD;
    else if (key.equals(CLUSTER_ID_KEY)) this.clusterId = value?.toString() ?? '';
    else return undefined;
    return { kind: 'system' };
  }

  private setTable(
    tables: Map<string, TableInfo>,
    name: string,
    value: Buffer | undefined,
  ): CatalogChange {
    const before = tables.get(name);
    const now = value && toTableInfo(value);
    // Its row may lie under its name already.
    if (before && this.tablesById.get(before.id) === before) {
      this.tablesById.delete(before.id);
      this.moving.delete(before.id);
      this.copies.delete(before.id);
    }
    if (now) {
      tables.set(name, now);
      this.tablesById.set(now.id, now);
      if (now.movingFrom.length > 0) this.moving.add(now.id);
      if (now.source && tables === this.tables) this.copies.add(now.id);
    } else tables.delete(name);
    return { kind: 'table', before, now };
  }

  private setDeleting(id: number, value: Buffer | undefined): CatalogChange {
    if (value) this.deleting.add(id);
    else this.deleting.delete(id);
    return { kind: 'deleting', id, isListed: value !== undefined };
  }

  private setSession(holder: string, value: Buffer | undefined): CatalogChange {
    const before = this.sessions.get(holder);
    const now = value && toSessionInfo(value);
    if (now) this.sessions.set(holder, now);
    else this.sessions.delete(holder);
    return { kind: 'session', holder, isSame: before?.token === now?.token };
  }

  private setNode(id: number, value: Buffer | undefined): CatalogChange {
    if (value) this.nodes.set(id, toNodeInfo(value));
    else this.nodes.delete(id);
    return { kind: 'node', id };
  }
}

function toTableInfo(stored: Buffer): TableInfo {
  const row = decodeRow(stored);
  return {
    id: Number(row.id),
    name: row.name,
    epoch: Number(row.epoch),
    replicas: row.replicas.map(Number),
    founders: row.founders.map(Number),
    movingFrom: row.movingFrom.map(Number),
    preferredLeader: Number(row.preferredLeader),
    ...(row.source && {
      source: { tableId: Number(row.source.tableId), epoch: Number(row.source.epoch) },
    }),
    completeAt: Number(row.completeAt),
    ...(row.renewalWanted && { renewalWanted: true }),
    ...(row.shadow && {
      shadow: {
        purpose: row.shadow.purpose,
        token: Number(row.shadow.token),
        begunAtMs: Number(row.shadow.begunAtMs),
        filledAtMs: Number(row.shadow.filledAtMs),
        ...(row.shadow.renews && { renews: true }),
      },
    }),
    stored,
  };
}

function toClusterInfo(stored: Buffer): ClusterInfo {
  const { generation, leaderClusterId, promoted } = flotillaV1.ClusterRow.decode(stored);
  return { generation: Number(generation), leaderClusterId, promoted, stored };
}

function setLease<K>(leases: Map<K, LeaseInfo>, key: K, stored: Buffer | undefined): void {
  if (!stored) {
    leases.delete(key);
    return;
  }
  const row = flotillaV1.LeaseRow.decode(stored);
  leases.set(key, {
    holder: row.holder,
    token: Number(row.token),
    expiresAtMs: Number(row.expiresAtMs),
    session: Number(row.session),
    stored,
  });
}

function toSessionInfo(stored: Buffer): SessionInfo {
  const { token, ttlMs, beats } = flotillaV1.SessionRow.decode(stored);
  return { token: Number(token), ttlMs: Number(ttlMs), beats, stored };
}

function toNodeInfo(stored: Buffer): NodeInfo {
  const row = flotillaV1.NodeRow.decode(stored);
  const state = NODE_STATES[row.state];
  if (state === undefined) throw new Error(`node ${row.id}: state ${row.state} is not known`);
  return {
    id: Number(row.id),
    name: row.name,
    raftAddress: row.raftAddress,
    clientUrl: row.clientUrl,
    identity: row.identity,
    state,
    replaces: Number(row.replaces),
    stored,
  };
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && prefix.compare(key, 0, prefix.length) === 0;
}

function suffix(key: Buffer, prefix: Buffer): string {
  return key.toString('utf8', prefix.length);
}
