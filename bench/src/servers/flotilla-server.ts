/** Our nodes, as they were built, with the settings of a user who sets none but those asked for. */
import { Cluster } from '@flotilla/e2e/harness';
import { regattaProtocol, TABLE } from './regatta-protocol.js';
import type { Server } from './server.js';

export interface FlotillaOptions {
  readonly name: string;
  readonly nodes: number;
  /** Undefined: what the node takes by itself. */
  readonly engine: string | undefined;
  readonly transport: string | undefined;
  /** Where the CPU profiles of the nodes go when they end. */
  readonly profileDir: string | undefined;
}

export async function startFlotilla(options: FlotillaOptions): Promise<Server> {
  const { engine, transport, profileDir } = options;
  const flags = [
    ...(engine === undefined ? [] : [`--storage.engine=${engine}`]),
    ...(transport === undefined ? [] : [`--api.transport=${transport}`]),
  ];
  const cluster = await Cluster.start(options.nodes, {
    flags,
    ...(profileDir !== undefined && {
      execArgv: ['--cpu-prof', `--cpu-prof-dir=${profileDir}`],
    }),
  });
  try {
    await cluster.client().createTable(TABLE);
    const details = {
      ...(engine !== undefined && { engine }),
      ...(transport !== undefined && { transport }),
      version: (await cluster.client().status(false)).version,
    };
    return new FlotillaServer(options.name, details, cluster, await cluster.leaderOf(TABLE));
  } catch (error) {
    await cluster.dispose();
    throw error;
  }
}

class FlotillaServer implements Server {
  readonly protocol = regattaProtocol;

  constructor(
    readonly name: string,
    readonly details: Readonly<Record<string, string>>,
    private readonly cluster: Cluster,
    private leader: number,
  ) {}

  get pids(): readonly number[] {
    return this.cluster.ids.map((id) => this.cluster.node(id).pid);
  }

  get address(): string {
    return this.cluster.node(this.leader).apiAddress.replace('http://', '');
  }

  async restart(): Promise<void> {
    const nodes = this.cluster.ids.map((id) => this.cluster.node(id));
    await Promise.all(nodes.map((node) => node.stop()));
    await Promise.all(nodes.map((node) => node.start()));
    this.leader = await this.cluster.leaderOf(TABLE);
  }

  async dispose(): Promise<void> {
    // A profile is written by a process that ends by itself.
    const nodes = this.cluster.ids.map((id) => this.cluster.node(id));
    await Promise.all(nodes.filter((node) => node.isRunning).map((node) => node.stop()));
    await this.cluster.dispose();
  }
}
