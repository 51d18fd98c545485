/**
 * Everything between this node and the others, joined to the Raft host: the server they connect to,
 * the links to them, snapshots, and what becomes of a refusal.
 */
import { type ClientTlsOptions } from '@flotilla/grpc';
import { type Logger, serverTls } from '@flotilla/platform';
import { type Host, type PassedAnswer, type PassedCall, type PeerFrame } from '@flotilla/raft';
import { type NodeDirectory } from '../catalog/node-directory.js';
import { type RaftConfig } from '../config/kv-node-config.js';
import { type NodeClock } from '../node/node-clock.js';
import { type SnapshotHub } from '../snapshots/snapshot-hub.js';
import { type PeerIdentity, type Refusal } from './hello.js';
import { PeerNetwork } from './peer-network.js';
import { type PeerHandlers } from './peer-server.js';
import { type PeerListener, type PeerTransport } from './peer-transport.js';

/** The same refusal of the same node is logged once in so long. */
const REFUSAL_LOG_MS = 30_000;
const REFUSALS_REMEMBERED_MAX = 1_000;
/** What other nodes say of a node that must not go on. */
const FINAL = new Set(['identity', 'removed', 'founding']);

export interface PeerSideParts {
  readonly own: PeerIdentity;
  readonly directory: NodeDirectory;
  readonly config: RaftConfig;
  readonly logger: Logger;
  readonly clock: NodeClock;
  readonly transport: PeerTransport;
  /** The cluster says that this node is none of its own. */
  readonly onStranger: (reason: string) => void;
}

/** What is answered by parts that are made later. */
export interface PeerServices extends Pick<PeerHandlers, 'callStream' | 'awaitCatalog'> {
  /** Never rejects: a failure is an answer too. */
  call(call: PassedCall): Promise<PassedAnswer>;
}

export class PeerSide {
  readonly network: PeerNetwork;
  readonly server: PeerListener;
  private host: Host | undefined;
  private hub: SnapshotHub | undefined;
  private services: PeerServices | undefined;
  private readonly loggedAtMs = new Map<string, number>();

  constructor(private readonly parts: PeerSideParts) {
    const { own, directory, config, logger, transport, clock } = parts;
    this.network = new PeerNetwork(
      own,
      directory,
      {
        tls: clientTls(config),
        queueBytesMax: config.sendQueueBytesMax,
        heartbeatTicks: Math.max(config.heartbeatRtt, Math.floor(config.electionRtt / 5)),
        silentTicks: config.electionRtt,
        transport,
        random: () => clock.random(),
        defer: (task) => clock.defer(task),
      },
      {
        up: (node) => {
          logger.info({ node }, 'a node is there');
          this.host?.nodeFound(node);
        },
        down: (node, cause) => {
          logger.warn({ node, cause }, 'a node is lost');
          this.host?.nodeLost(node);
        },
        refused: (node, refusal, by) => this.refused(node, refusal, by),
        dropped: (node, group) => this.host?.unreachable(group, node),
        hasInbound: (node) => this.server.isOpenFrom(node),
      },
    );
    this.server = transport.listener(own, directory, this.handlers(), logger);
  }

  attach(host: Host, hub: SnapshotHub): void {
    this.host = host;
    this.hub = hub;
  }

  serve(services: PeerServices): void {
    this.services = services;
  }

  /** Listens, and connects to everybody. Returns the address. */
  async start(): Promise<string> {
    const { config } = this.parts;
    const address = await this.server.listen(config.listenAddress, serverTls(config));
    this.network.refresh();
    return address;
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all([this.server.close(graceMs), this.network.close()]);
  }

  private handlers(): PeerHandlers {
    return {
      frame: (from, frame) => this.receive(from, frame),
      inbound: (from, isOpen) => this.network.inbound(from, isOpen),
      readSnapshot: (from, request) => made(this.hub).source.read(from, request),
      callStream: (request, call, sink) => made(this.services).callStream(request, call, sink),
      awaitCatalog: (index, call) => made(this.services).awaitCatalog(index, call),
      refused: ({ kind, reason }, peer) => this.warn(`${peer}/${kind}`, { peer, kind, reason }),
    };
  }

  private receive(from: number, frame: PeerFrame): void {
    this.network.heard(from, frame.heartbeat?.draining);
    const host = made(this.host);
    for (const { group, message } of frame.messages) host.receive(group, message);
    for (const { group, term, index } of frame.quiesce) {
      host.receiveQuiesce(group, from, term, index);
    }
    for (const answer of frame.answers) this.network.answered(from, answer);
    for (const call of frame.calls) void this.answer(from, call);
  }

  private async answer(from: number, call: PassedCall): Promise<void> {
    this.network.answer(from, await made(this.services).call(call));
  }

  private refused(node: number, { kind, reason }: Refusal, by: 'them' | 'us'): void {
    if (by === 'them' && FINAL.has(kind)) this.parts.onStranger(reason);
    else this.warn(`${node}/${kind}/${by}`, { node, kind, reason, by });
  }

  private warn(key: string, fields: Record<string, unknown>): void {
    const nowMs = this.parts.clock.nowMs();
    if (nowMs - (this.loggedAtMs.get(key) ?? -Infinity) < REFUSAL_LOG_MS) return;
    if (this.loggedAtMs.size >= REFUSALS_REMEMBERED_MAX) this.loggedAtMs.clear();
    this.loggedAtMs.set(key, nowMs);
    this.parts.logger.warn(fields, 'a connection between nodes was refused');
  }
}

/** A node shows the others the same certificate that it serves with. */
function clientTls(config: RaftConfig): ClientTlsOptions | undefined {
  if (config.certFilename === '') return undefined;
  return {
    certFile: config.certFilename,
    keyFile: config.keyFilename,
    ...(config.caFilename !== '' && { caFile: config.caFilename }),
  };
}

/** A part that is made before anybody is listened to. */
function made<T>(part: T | undefined): T {
  if (part === undefined) throw new Error('a call came before the node was put together');
  return part;
}
