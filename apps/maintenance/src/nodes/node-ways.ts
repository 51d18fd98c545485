/**
 * The ways to the nodes of the cluster: one client an address, those that work tried first.
 *
 * In: the addresses of the settings, those that the nodes say they have, what became of calls. Out:
 * clients in the order in which to try them, and calls that are made at whichever answers. Only what
 * may be done twice is tried at another node after an answer was lost.
 */
import {
  createGrpcClient,
  type GrpcClient,
  GrpcError,
  GrpcStatusError,
  status,
} from '@flotilla/grpc';
import { clientTls } from '@flotilla/platform';
import { type ClusterConfig } from '../config/maintenance-config.js';
import { type MaintenanceClock } from '../maintenance-clock.js';

/** More addresses than any cluster has nodes. */
const LEARNT_ADDRESSES_MAX = 1_000;
/** An address that failed is tried after the others for so long. */
const REST_MS = 1_000;
const ATTEMPTS_MAX = 12;
const PAUSE_MS = 100;
const PAUSE_MS_MAX = 2_000;
/** Nodes take pings no more often than that; see their `keepaliveMinTimeMs`. */
const KEEPALIVE = { timeMs: 31_000, timeoutMs: 5_000 };
const RECONNECT_MS_MIN = 200;
const RECONNECT_MS_MAX = 5_000;

export interface NodeWay {
  readonly address: string;
  readonly client: GrpcClient;
}

export class NodeWays {
  private readonly clients = new Map<string, GrpcClient>();
  private readonly failedAtMs = new Map<string, number>();
  private learnt: ReadonlyMap<number, string> = new Map();
  private turn = 0;

  constructor(
    private readonly config: ClusterConfig,
    private readonly clock: MaintenanceClock,
  ) {
    // What is wrong with the settings ends the start, and not a call later on.
    for (const address of config.addresses) this.clientOf(address);
  }

  /** Metadata for what the nodes guard. */
  get credentials(): Readonly<Record<string, string>> {
    const { token } = this.config;
    return token === '' ? {} : { authorization: `Bearer ${token}` };
  }

  /** Addresses by node id, as the nodes say; clients of those that went are closed. */
  learn(addresses: ReadonlyMap<number, string>): void {
    const usable = [...addresses].filter(([, address]) => this.isUsable(address));
    this.learnt = new Map(usable.slice(0, LEARNT_ADDRESSES_MAX));
    const used = new Set([...this.config.addresses, ...this.learnt.values()]);
    for (const [address, client] of this.clients) {
      if (used.has(address)) continue;
      this.clients.delete(address);
      this.failedAtMs.delete(address);
      client.close();
    }
  }

  /** The best way: to one of the given nodes if they are known and work. */
  way(preferred: readonly number[] = []): NodeWay {
    const wanted = preferred.flatMap((id) => this.learnt.get(id) ?? []);
    const others = [...this.config.addresses, ...this.learnt.values()];
    const turn = this.turn++ % Math.max(1, others.length);
    const all = [...new Set([...wanted, ...others.slice(turn), ...others.slice(0, turn)])];
    const address = all.find((each) => !this.rests(each)) ?? others[turn];
    if (address === undefined) throw new GrpcStatusError(status.UNAVAILABLE, 'no node is known');
    return { address, client: this.clientOf(address) };
  }

  failed({ address }: NodeWay): void {
    this.failedAtMs.set(address, this.clock.nowMs());
  }

  /** A unary call that may be made twice, at one node after the other. */
  async call(method: string, request: Uint8Array, attemptMs: number): Promise<Buffer> {
    const metadata = this.credentials;
    for (let attempt = 1; ; attempt++) {
      const way = this.way();
      try {
        return await way.client.unary(method, request, { metadata, deadlineMs: attemptMs });
      } catch (error) {
        if (!mayHelp(error) || attempt >= ATTEMPTS_MAX) throw error;
        this.failed(way);
        await this.clock.sleep(Math.min(PAUSE_MS * 2 ** (attempt - 1), PAUSE_MS_MAX));
      }
    }
  }

  /** Idempotent. Calls still open fail. */
  close(): void {
    for (const client of this.clients.values()) client.close();
    this.clients.clear();
  }

  private rests(address: string): boolean {
    const failedAtMs = this.failedAtMs.get(address);
    return failedAtMs !== undefined && this.clock.nowMs() - failedAtMs < REST_MS;
  }

  private clientOf(address: string): GrpcClient {
    const known = this.clients.get(address);
    if (known) return known;
    const tls = clientTls(this.config, [address]);
    const client = createGrpcClient(address, {
      ...(tls && { tls }),
      keepalive: KEEPALIVE,
      reconnectMinMs: RECONNECT_MS_MIN,
      reconnectMaxMs: RECONNECT_MS_MAX,
    });
    this.clients.set(address, client);
    return client;
  }

  /** A node may advertise anything. */
  private isUsable(address: string): boolean {
    try {
      this.clientOf(address);
      return true;
    } catch (error) {
      if (error instanceof GrpcError) return false;
      throw error;
    }
  }
}

function mayHelp(error: unknown): boolean {
  if (!(error instanceof GrpcStatusError)) return false;
  return error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED;
}
