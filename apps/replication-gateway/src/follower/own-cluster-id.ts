/**
 * The id of the cluster that a gateway belongs to, as its nodes tell it: asked once, then known.
 */
import { feedV1 } from '@flotilla/proto';
import { type Logger } from '@flotilla/platform';
import { type NodePool } from '../nodes/node-pool.js';
import { WATCH_TABLES } from '../nodes/table-directory.js';
import { textOf } from './failure-kind.js';

const ASK_MS = 2_000;

export class OwnClusterId {
  private id = '';

  constructor(
    private readonly pool: NodePool,
    private readonly logger: Pick<Logger, 'warn'>,
  ) {}

  /** Empty while no node tells it. */
  async get(): Promise<string> {
    const [way] = this.pool.ways();
    if (this.id !== '' || !way) return this.id;
    const options = { deadlineMs: ASK_MS, metadata: this.pool.credentials };
    try {
      const changes = way.client.serverStream(WATCH_TABLES, new Uint8Array(0), options);
      for await (const bytes of changes) {
        this.id = feedV1.TablesChange.decode(bytes).clusterId;
        break;
      }
    } catch (error) {
      this.pool.failed(way);
      this.logger.warn({ reason: textOf(error) }, 'no node tells the id of this cluster');
    }
    return this.id;
  }
}
