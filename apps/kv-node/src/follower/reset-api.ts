/**
 * `maintenance.v1.Maintenance/Reset` on the API port of a follower cluster, where Regatta has it.
 *
 * In: a name, or that all are meant. Out: an answer once it is noted that those copies are wanted anew; they
 * are served as they are until that is done. Codes and texts are those of the contract. It needs no
 * maintenance app: unlike backups, all of it stands in the catalog.
 */
import { bearerAuth, type GrpcServer, GrpcStatusError, status } from '@flotilla/grpc';
import { maintenanceV1 as v1 } from '@flotilla/proto';
import { malformed } from '../kv/errors.js';
import { MAINTENANCE_SERVICE } from '../maintenance/passed-maintenance.js';
import { type Renewals } from './renewals.js';

export interface ResetSettings {
  readonly enabled: boolean;
  /** Bearer token; empty for no check. */
  readonly token: string;
}

export const RESET = `/${MAINTENANCE_SERVICE}/Reset`;

export function registerReset(
  server: GrpcServer,
  renewals: Renewals,
  { enabled, token }: ResetSettings,
): void {
  if (!enabled) return;
  server.authorize(MAINTENANCE_SERVICE, bearerAuth(token));
  server.register(RESET, 'unary', (bytes) => reset(bytes, renewals));
}

async function reset(bytes: Buffer, renewals: Renewals): Promise<Uint8Array> {
  const { table, resetAll } = decoded(bytes);
  if (!resetAll && table.length === 0) {
    throw new GrpcStatusError(status.INVALID_ARGUMENT, 'table must be set');
  }
  const name = table.toString();
  const known = await renewals.copies();
  const wanted = resetAll ? known : known.filter((each) => each.name === name);
  let isFound = resetAll;
  for (const { name: each, source } of wanted) {
    if ((await renewals.want(each, source)) === 'wanted') isFound = true;
  }
  if (!isFound) throw new GrpcStatusError(status.UNKNOWN, 'table not found');
  return v1.ResetResponse.encode({}).finish();
}

function decoded(bytes: Buffer): v1.ResetRequest {
  try {
    return v1.ResetRequest.decode(bytes);
  } catch (error) {
    throw malformed(error);
  }
}
