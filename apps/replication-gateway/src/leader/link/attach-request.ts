/**
 * What an attached gateway says, checked at the door.
 *
 * In: bytes of an `AttachRequest`. Out: plain values, or InvalidArgument that names the field. A hello is
 * held against what this cluster is: it must not be followed by itself, nor by somebody who knows that
 * another cluster has taken its place.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { linkV1 } from '@flotilla/proto';
import { type KnownCluster } from '../../nodes/table-directory.js';
import { LINK_NAME_BYTES_MAX } from './link-limits.js';

export interface Hello {
  readonly clusterId: string;
  readonly gateway: string;
  readonly generation: bigint;
  readonly leaderClusterId: string;
  readonly creditBytes: number;
}

export type LinkRequest =
  | {
      readonly kind: 'subscribe';
      readonly subscription: number;
      readonly tableId: bigint;
      readonly epoch: bigint;
      /** Beyond what any log can have: Infinity. */
      readonly from: number;
      /** Of the entry before it, as the copy has it; undefined if it does not know. */
      readonly previousCheck: bigint | undefined;
    }
  | { readonly kind: 'unsubscribe'; readonly subscription: number }
  | { readonly kind: 'credit'; readonly bytes: number };

export function readHello(bytes: Buffer): Hello {
  const { kind } = decode(bytes);
  if (kind?.$case !== 'hello') throw invalid('the first message must be hello');
  const { clusterId, gateway, generation, leaderClusterId, creditBytes } = kind.value;
  if (clusterId === '') throw invalid('hello.cluster_id must be set');
  const names = { cluster_id: clusterId, gateway, leader_cluster_id: leaderClusterId };
  for (const [name, value] of Object.entries(names)) {
    if (Buffer.byteLength(value) <= LINK_NAME_BYTES_MAX) continue;
    throw invalid(`hello.${name} must have ${LINK_NAME_BYTES_MAX} bytes at most`);
  }
  const credit = plainNumber('hello.credit_bytes', creditBytes);
  return { clusterId, gateway, generation, leaderClusterId, creditBytes: credit };
}

/** Throws FailedPrecondition where this cluster is not to be followed. */
export function checkFollower(
  follower: Pick<Hello, 'clusterId' | 'generation'> & Partial<Pick<Hello, 'leaderClusterId'>>,
  cluster: KnownCluster,
): void {
  if (follower.clusterId === cluster.id) throw refused('a cluster must not follow itself');
  const { generation, leaderClusterId = '' } = follower;
  if (generation > BigInt(cluster.generation)) {
    const known = `its generation is ${cluster.generation}, and ${generation} was followed since`;
    throw refused(`this leader cluster was replaced by a promotion: ${known}`);
  }
  // Tables of the same ids in another cluster have another history.
  if (generation === 0n || leaderClusterId === '' || leaderClusterId === cluster.id) return;
  if (generation < BigInt(cluster.generation)) return;
  const other = `generation ${generation} is that of leader cluster ${leaderClusterId}`;
  throw refused(`${other}, and this is leader cluster ${cluster.id}`);
}

export function readRequest(bytes: Buffer): LinkRequest {
  const { kind } = decode(bytes);
  switch (kind?.$case) {
    case 'subscribe': {
      const { subscription, tableId, epoch, from, previousCheck } = kind.value;
      if (from === 0n) throw invalid('subscribe.from must be 1 or larger');
      return {
        kind: 'subscribe',
        subscription: plainNumber('subscribe.subscription', subscription),
        tableId,
        epoch,
        from: from > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(from),
        previousCheck,
      };
    }
    case 'unsubscribe': {
      const { subscription } = kind.value;
      const named = plainNumber('unsubscribe.subscription', subscription);
      return { kind: 'unsubscribe', subscription: named };
    }
    case 'credit':
      return { kind: 'credit', bytes: plainNumber('credit.bytes', kind.value.bytes) };
    case 'hello':
      throw invalid('hello must be the first message, and come once');
    case undefined:
      throw invalid('a message must be hello, subscribe, unsubscribe or credit');
  }
}

export function invalid(message: string): GrpcStatusError {
  return new GrpcStatusError(status.INVALID_ARGUMENT, message);
}

function decode(bytes: Buffer): linkV1.AttachRequest {
  try {
    return linkV1.AttachRequest.decode(bytes);
  } catch (error) {
    const text = 'a message is not a flotilla.replication.v1.AttachRequest';
    throw new GrpcStatusError(status.INVALID_ARGUMENT, text, undefined, { cause: error });
  }
}

function plainNumber(field: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw invalid(`${field} must be below 2^53`);
  return Number(value);
}

function refused(message: string): GrpcStatusError {
  return new GrpcStatusError(status.FAILED_PRECONDITION, message);
}
