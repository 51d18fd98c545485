/**
 * `maintenance.v1` on the API port, where Regatta has it: passed on to the maintenance app.
 *
 * In: calls as they came, with their token. Out: what the app answers, message by message, at the pace of
 * the slower side. The node looks at nothing of it but the token of its own settings.
 */
import {
  type CallContext,
  createGrpcClient,
  type GrpcClient,
  type GrpcServer,
} from '@flotilla/grpc';
import { clientTls, type ClientTlsConfig } from '@flotilla/platform';

export const MAINTENANCE_SERVICE = 'maintenance.v1.Maintenance';

export type PassedTo = ClientTlsConfig & { readonly addresses: readonly string[] };

export class PassedMaintenance {
  private readonly client: GrpcClient;

  constructor(to: PassedTo) {
    const tls = clientTls(to, to.addresses);
    this.client = createGrpcClient(to.addresses, tls ? { tls } : {});
  }

  register(server: GrpcServer): void {
    const path = (method: string) => `/${MAINTENANCE_SERVICE}/${method}`;
    server.register(path('Backup'), 'server-stream', async (bytes, call, sink) => {
      const options = optionsOf(call);
      for await (const message of this.client.serverStream(path('Backup'), bytes, options)) {
        await sink.write(message);
      }
    });
    server.register(path('Restore'), 'client-stream', (requests, call) =>
      this.client.clientStream(path('Restore'), requests, optionsOf(call)),
    );
    // A node of a follower cluster does it by itself.
    if (server.methods().some((method) => method.path === path('Reset'))) return;
    server.register(path('Reset'), 'unary', (bytes, call) =>
      this.client.unary(path('Reset'), bytes, optionsOf(call)),
    );
  }

  /** Idempotent. Calls still open fail. */
  close(): void {
    this.client.close();
  }
}

function optionsOf(call: CallContext) {
  const token = call.metadata.get('authorization');
  return {
    signal: call.signal,
    ...(token !== undefined && { metadata: { authorization: token } }),
    ...(call.deadline !== undefined && { deadlineMs: Math.max(1, call.deadline - Date.now()) }),
  };
}
