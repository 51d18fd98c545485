/**
 * Connections of the load to the cluster: some to each node alone, some that know all of them.
 *
 * In: which nodes there are. Out: a client for whoever asks. A client that is not wanted any
 * more is closed once what was under way through it has ended.
 */
import { FlotillaClient } from '@flotilla/client';
import { type Random } from './random.js';

const PER_NODE = 2;
const ROAMING = 2;
/** Longer than any call of the load: nothing is under way through a client when it is closed. */
const RETIRE_MS = 15_000;

export interface Member {
  readonly id: number;
  readonly apiAddress: string;
}

export class ClientPool {
  private readonly byNode = new Map<number, FlotillaClient[]>();
  private readonly retired = new Set<FlotillaClient>();
  private roaming: FlotillaClient[] = [];

  /** Brings the clients in line with the members. */
  refresh(members: readonly Member[]): void {
    for (const [id, clients] of this.byNode) {
      if (members.some((member) => member.id === id)) continue;
      this.retire(clients);
      this.byNode.delete(id);
    }
    for (const { id, apiAddress } of members) {
      if (!this.byNode.has(id)) this.byNode.set(id, clientsOf([apiAddress], PER_NODE));
    }
    this.retire(this.roaming);
    this.roaming = clientsOf(
      members.map(({ apiAddress }) => apiAddress),
      ROAMING,
    );
  }

  pick(random: Random): FlotillaClient {
    const sets = [...this.byNode.values(), this.roaming];
    return random.pick(random.pick(sets));
  }

  of(id: number): FlotillaClient {
    const [client] = this.byNode.get(id) ?? [];
    if (!client) throw new Error(`there is no node ${id}`);
    return client;
  }

  /** Idempotent. */
  close(): void {
    for (const clients of [...this.byNode.values(), this.roaming, this.retired]) {
      for (const client of clients) client.close();
    }
    this.byNode.clear();
    this.retired.clear();
    this.roaming = [];
  }

  private retire(clients: readonly FlotillaClient[]): void {
    for (const client of clients) {
      this.retired.add(client);
      setTimeout(() => {
        client.close();
        this.retired.delete(client);
      }, RETIRE_MS).unref();
    }
  }
}

function clientsOf(endpoints: readonly string[], count: number): FlotillaClient[] {
  return Array.from({ length: count }, () => new FlotillaClient({ endpoints }));
}
