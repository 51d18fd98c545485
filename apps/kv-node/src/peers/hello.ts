/**
 * Who calls and who answers: what two nodes tell each other with every call, and what is checked.
 *
 * In: the metadata of a call or of its answer. Out: a hello, or why it is refused, by name. A node of
 * another cluster, one that was removed, or one that took over an id is never listened to.
 */
import { GrpcStatusError, status, type MetadataEntries } from '@flotilla/grpc';
import { type ReceivedMetadata } from '@flotilla/grpc';

/** What is spoken here, and the oldest that is still understood. */
export const PEER_PROTOCOL_VERSION = 1;
export const PEER_PROTOCOL_VERSION_MIN = 1;

export interface PeerIdentity {
  readonly clusterName: string;
  /** Empty while the catalog has not been heard of. */
  readonly clusterId: string;
  readonly nodeId: number;
  /** Made once with the data folder. */
  readonly identity: string;
  /** Whether it began as a node of a running cluster. */
  readonly joined: boolean;
}

export interface Hello extends PeerIdentity {
  readonly version: number;
  readonly versionMin: number;
  /** The node that is meant. */
  readonly to: number;
}

/** What the cluster knows of a node. */
export interface KnownNode {
  /** host:port */
  readonly address: string;
  /** Empty while the node has not told it. */
  readonly identity: string;
  readonly removed: boolean;
  /** Announced, and never heard of yet. */
  readonly joining: boolean;
}

export interface PeerDirectory {
  find(nodeId: number): KnownNode | undefined;
  /** Every node to talk to, this one excepted. */
  others(): Iterable<number>;
}

export const REFUSALS = [
  'malformed',
  'version',
  'cluster-name',
  'cluster-id',
  'target',
  'self',
  'unknown',
  'removed',
  'identity',
  'founding',
] as const;
export type RefusalKind = (typeof REFUSALS)[number];

export interface Refusal {
  readonly kind: RefusalKind;
  readonly reason: string;
}

const VERSION = 'flotilla-peer-version';
const VERSION_MIN = 'flotilla-peer-version-min';
const CLUSTER_NAME = 'flotilla-cluster-name';
const CLUSTER_ID = 'flotilla-cluster-id';
const FROM = 'flotilla-node';
const TO = 'flotilla-to';
const IDENTITY = 'flotilla-identity';
const JOINED = 'flotilla-joined';
/** Trailer of a refusal: its kind. */
const REFUSED = 'flotilla-refused';

export function helloMetadata(own: PeerIdentity, to: number): MetadataEntries {
  return {
    [VERSION]: String(PEER_PROTOCOL_VERSION),
    [VERSION_MIN]: String(PEER_PROTOCOL_VERSION_MIN),
    [CLUSTER_NAME]: encodeURIComponent(own.clusterName),
    [CLUSTER_ID]: own.clusterId,
    [FROM]: String(own.nodeId),
    [TO]: String(to),
    [IDENTITY]: own.identity,
    [JOINED]: own.joined ? '1' : '0',
  };
}

/** Undefined if the other side said nothing that could be a hello. */
export function readHello(metadata: ReceivedMetadata): Hello | undefined {
  const version = Number(metadata.get(VERSION));
  const versionMin = Number(metadata.get(VERSION_MIN));
  const nodeId = Number(metadata.get(FROM));
  const to = Number(metadata.get(TO));
  const name = metadata.get(CLUSTER_NAME);
  const numbers = [version, versionMin, nodeId, to];
  if (name === undefined || !numbers.every(Number.isSafeInteger)) return undefined;
  const clusterId = metadata.get(CLUSTER_ID) ?? '';
  const identity = metadata.get(IDENTITY) ?? '';
  const joined = metadata.get(JOINED) === '1';
  const clusterName = unescape(name);
  return { version, versionMin, nodeId, to, clusterName, clusterId, identity, joined };
}

/** Why a hello is not accepted here; undefined when it is. */
export function whyRefused(
  hello: Hello | undefined,
  own: PeerIdentity,
  directory: PeerDirectory,
): Refusal | undefined {
  if (!hello) return refusal('malformed', 'the call does not say which node makes it');
  if (hello.version < PEER_PROTOCOL_VERSION_MIN || hello.versionMin > PEER_PROTOCOL_VERSION) {
    const theirs = `${hello.versionMin} to ${hello.version}`;
    const ours = `${PEER_PROTOCOL_VERSION_MIN} to ${PEER_PROTOCOL_VERSION}`;
    const who = `node ${hello.nodeId}`;
    return refusal('version', `${who} speaks peer protocol ${theirs}, node ${own.nodeId} ${ours}`);
  }
  if (hello.clusterName !== own.clusterName) {
    const theirs = `node ${hello.nodeId} belongs to cluster "${hello.clusterName}"`;
    return refusal('cluster-name', `${theirs}, node ${own.nodeId} to "${own.clusterName}"`);
  }
  if (hello.clusterId !== '' && own.clusterId !== '' && hello.clusterId !== own.clusterId) {
    const both = `node ${hello.nodeId} has ${hello.clusterId}, node ${own.nodeId} ${own.clusterId}`;
    const reason = `two clusters are called "${own.clusterName}": ${both}`;
    return refusal('cluster-id', reason);
  }
  if (hello.to !== own.nodeId) {
    return refusal('target', `this is node ${own.nodeId}, not node ${hello.to}`);
  }
  return whyNodeRefused(hello, own, directory);
}

function whyNodeRefused(
  hello: Hello,
  own: PeerIdentity,
  directory: PeerDirectory,
): Refusal | undefined {
  const { nodeId } = hello;
  if (nodeId === own.nodeId) {
    return refusal('self', `node id ${nodeId} is this node's own: two nodes were given the same`);
  }
  const known = directory.find(nodeId);
  if (!known) {
    const reason = `node ${nodeId} is not a member of cluster "${own.clusterName}"`;
    return refusal('unknown', `${reason}: add it first (flotilla cluster add)`);
  }
  if (known.removed) {
    const reason = `node ${nodeId} was removed from cluster "${own.clusterName}"`;
    return refusal('removed', `${reason}, and its id is never used again`);
  }
  if (known.joining && known.identity === '' && !hello.joined) {
    const reason = `node ${nodeId} was added to a running cluster, but began as if it founded one`;
    return refusal('founding', `${reason}: start it with raft.join=true and an empty data folder`);
  }
  if (known.identity !== '' && hello.identity !== known.identity) {
    const reason = `node ${nodeId} has another data folder than the node ${nodeId} of this cluster`;
    const advice = 'a node that lost its data joins anew with a new id (flotilla cluster replace)';
    return refusal('identity', `${reason}: ${advice}`);
  }
  return undefined;
}

export function refusalError({ kind, reason }: Refusal): GrpcStatusError {
  return new GrpcStatusError(status.FAILED_PRECONDITION, reason, { [REFUSED]: kind });
}

/** The refusal that a failed call was, if it was one. */
export function refusalOf(error: unknown): Refusal | undefined {
  if (!(error instanceof GrpcStatusError)) return undefined;
  const value = error.metadata?.[REFUSED];
  const text = Array.isArray(value) ? String(value[0]) : value;
  const kind = REFUSALS.find((each) => each === text);
  return kind && { kind, reason: error.message };
}

function refusal(kind: RefusalKind, reason: string): Refusal {
  return { kind, reason };
}

function unescape(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not written by a node of ours: it will not be the name of this cluster either.
    return text;
  }
}
