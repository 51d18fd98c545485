/**
 * Leases by purpose, as the nodes keep them (`flotilla.tables.v1.Leases`).
 *
 * In: the ways to the nodes. Out: one try of a call at one node, so that the caller decides how long it
 * goes on trying. Nodes of before answer `unserved`. Must never say that a lease is held unless a node
 * has said so.
 */
import { GrpcStatusError, status } from '@flotilla/grpc';
import { leasesV1 } from '@flotilla/proto';
import { type NodeWays } from '../nodes/node-ways.js';

const SERVICE = '/flotilla.tables.v1.Leases';

export interface LeaseWish {
  readonly purpose: string;
  readonly holder: string;
  readonly ttlMs: number;
  /** Token that the holder has; 0 to take the lease. */
  readonly token: number;
}

export type LeaseAnswer =
  /** Of whoever holds it now; `acquired` says that it is who asked. */
  | {
      readonly kind: 'told';
      readonly acquired: boolean;
      readonly holder: string;
      readonly token: number;
      readonly remainingMs: number;
    }
  /** The nodes know no leases by purpose. */
  | { readonly kind: 'unserved' };

export interface Leases {
  acquire(wish: LeaseWish, deadlineMs: number): Promise<LeaseAnswer>;
  release(wish: Omit<LeaseWish, 'ttlMs'>, deadlineMs: number): Promise<void>;
}

export class NodeLeases implements Leases {
  constructor(private readonly ways: Pick<NodeWays, 'way' | 'failed' | 'credentials'>) {}

  async acquire(wish: LeaseWish, deadlineMs: number): Promise<LeaseAnswer> {
    const { purpose, holder } = wish;
    const request = leasesV1.AcquirePurposeRequest.encode({
      purpose,
      holder,
      ttlMs: BigInt(wish.ttlMs),
      token: BigInt(wish.token),
    }).finish();
    try {
      const answer = await this.once('Acquire', request, deadlineMs);
      const { acquired, lease } = leasesV1.AcquirePurposeResponse.decode(answer);
      if (acquired && !lease) throw new GrpcStatusError(status.INTERNAL, 'lease: it is not told');
      return {
        kind: 'told',
        acquired,
        holder: lease?.holder ?? '',
        token: Number(lease?.token ?? 0n),
        remainingMs: Number(lease?.remainingMs ?? 0n),
      };
    } catch (error) {
      if (error instanceof GrpcStatusError && error.code === status.UNIMPLEMENTED) {
        return { kind: 'unserved' };
      }
      throw error;
    }
  }

  async release(
    { purpose, holder, token }: Omit<LeaseWish, 'ttlMs'>,
    deadlineMs: number,
  ): Promise<void> {
    const message = { purpose, holder, token: BigInt(token) };
    const request = leasesV1.ReleasePurposeRequest.encode(message).finish();
    await this.once('Release', request, deadlineMs);
  }

  private async once(method: string, request: Uint8Array, deadlineMs: number): Promise<Buffer> {
    const way = this.ways.way();
    const metadata = this.ways.credentials;
    try {
      return await way.client.unary(`${SERVICE}/${method}`, request, { metadata, deadlineMs });
    } catch (error) {
      // The next try goes to another node: this one may be cut off, or of an older version.
      this.ways.failed(way);
      throw error;
    }
  }
}
