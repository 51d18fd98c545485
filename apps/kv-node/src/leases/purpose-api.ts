/**
 * `flotilla.tables.v1.Leases` over bytes: decode, check, have it done, encode.
 *
 * In: a gRPC server. Out: its methods registered on it. Served in both roles, and guarded like the changes
 * of tables: who holds a lease by purpose keeps others from what it is for.
 */
import { type GrpcServer } from '@flotilla/grpc';
import { leasesV1 as v1 } from '@flotilla/proto';
import { invalid, withStatus } from '../kv/errors.js';
import { OPERATION_TIMEOUT_MS } from '../kv/limits.js';
import { typedUnary } from '../kv/typed-unary.js';
import { checkedHolder, checkedNumber, checkedPurpose, checkedTtlMs } from './lease-checks.js';
import { type PurposeHeld, type PurposeHold, type PurposeLeases } from './purpose-leases.js';

export const PURPOSE_LEASES_SERVICE = 'flotilla.tables.v1.Leases';

export class PurposeApi {
  constructor(
    private readonly leases: PurposeLeases,
    private readonly deadline: (timeoutMs: number) => number,
  ) {}

  register(server: GrpcServer): void {
    const typed = typedUnary(server, PURPOSE_LEASES_SERVICE);
    typed('Acquire', [v1.AcquirePurposeRequest, v1.AcquirePurposeResponse], (it) =>
      this.acquire(it),
    );
    typed('Release', [v1.ReleasePurposeRequest, v1.ReleasePurposeResponse], (it) =>
      this.release(it),
    );
  }

  private async acquire(request: v1.AcquirePurposeRequest): Promise<v1.AcquirePurposeResponse> {
    const wish = { ...holdOf(request), ttlMs: checkedTtlMs(request.ttlMs) };
    const deadlineMs = this.deadline(OPERATION_TIMEOUT_MS);
    const { isDone, lease } = await withStatus(this.leases.acquire(wish, deadlineMs));
    return { acquired: isDone, lease: lease && this.onWire(lease) };
  }

  private async release(request: v1.ReleasePurposeRequest): Promise<v1.ReleasePurposeResponse> {
    const hold = holdOf(request);
    if (hold.token === 0) throw invalid('token must be set');
    const deadlineMs = this.deadline(OPERATION_TIMEOUT_MS);
    return { released: await withStatus(this.leases.release(hold, deadlineMs)) };
  }

  private onWire(lease: PurposeHeld): v1.PurposeLease {
    const remainingMs = BigInt(Math.ceil(this.leases.remainingMs(lease)));
    return { holder: lease.holder, token: BigInt(lease.token), remainingMs };
  }
}

function holdOf({ purpose, holder, token }: v1.ReleasePurposeRequest): PurposeHold {
  return {
    purpose: checkedPurpose(purpose),
    holder: checkedHolder(holder),
    token: checkedNumber(token, 'token'),
  };
}
