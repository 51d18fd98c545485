/**
 * The ways to the nodes of the cluster: one client an address, those that work tried first.
 *
 * In: the addresses of the settings, those that the nodes say they have, what became of calls. Out:
 * clients in the order in which to try them. An address of the settings is never forgotten: what the
 * nodes advertise may not be reachable from here.
 */
import {
  createGrpcClient,
  type GrpcClient,
  type GrpcClientOptions,
  GrpcError,
} from '@flotilla/grpc';
import { type ClusterConfig } from '../config/gateway-config.js';
import { type GatewayClock } from '../gateway-clock.js';

/** An address that failed is tried after the others for so long. */
const REST_MS = 1_000;
/** More addresses than any cluster has nodes. */
export const LEARNT_ADDRESSES_MAX = 1_000;
/** Nodes take pings no more often than that; see their `keepaliveMinTimeMs`. */
const KEEPALIVE = { timeMs: 31_000, timeoutMs: 5_000 };
const RECONNECT_MS_MIN = 200;
const RECONNECT_MS_MAX = 5_000;

export interface NodeWay {
  readonly address: string;
  readonly client: GrpcClient;
}

type MakeClient = (address: string, options: GrpcClientOptions) => GrpcClient;

export class NodePool {
  private readonly clients = new Map<string, GrpcClient>();
  private readonly failedAtMs = new Map<string, number>();
  /** Addresses by node id, as the nodes say. */
  private learnt: ReadonlyMap<number, string> = new Map();
  private turn = 0;

  constructor(
    private readonly config: ClusterConfig,
    private readonly clock: Pick<GatewayClock, 'nowMs'>,
    private readonly makeClient: MakeClient = createGrpcClient,
  ) {
    // What is wrong with the settings ends the start, and not a call later on.
    for (const address of config.addresses) this.clientOf(address);
  }

  /** Metadata for what the nodes guard. */
  get credentials(): Readonly<Record<string, string>> {
    const { token } = this.config;
    return token === '' ? {} : { authorization: `Bearer ${token}` };
  }

  /** The nodes there are now; clients of those that went are closed. */
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

  /** All ways, once each: to the given nodes first, and those that failed lately at the end. */
  ways(preferred: readonly number[] = []): NodeWay[] {
    const wanted = preferred.map((id) => this.learnt.get(id)).filter(isAddress);
    const others = [...this.config.addresses, ...this.learnt.values()];
    const turn = this.turn++ % Math.max(1, others.length);
    const addresses = new Set([...wanted, ...others.slice(turn), ...others.slice(0, turn)]);
    const inOrder = [...addresses];
    const ready = inOrder.filter((address) => !this.rests(address));
    const resting = inOrder.filter((address) => this.rests(address));
    // The one that failed longest ago has the best prospects.
    resting.sort((a, b) => (this.failedAtMs.get(a) ?? 0) - (this.failedAtMs.get(b) ?? 0));
    return [...ready, ...resting].map((address) => ({ address, client: this.clientOf(address) }));
  }

  failed({ address }: NodeWay): void {
    this.failedAtMs.set(address, this.clock.nowMs());
  }

  worked({ address }: NodeWay): void {
    this.failedAtMs.delete(address);
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
    const { caFilename, certFilename, keyFilename, serverName } = this.config;
    const tls = {
      ...(caFilename !== '' && { caFile: caFilename }),
      ...(certFilename !== '' && { certFile: certFilename, keyFile: keyFilename }),
      ...(serverName !== '' && { serverName }),
    };
    const client = this.makeClient(address, {
      ...(/^(?:https|unixs):/.test(address) && { tls }),
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

function isAddress(address: string | undefined): address is string {
  return address !== undefined;
}
