/**
 * What goes wrong in a follower cluster, or on its way to the leader cluster: links, nodes and gateways.
 *
 * In: a follower cluster. Out: the same, with everything running again and all links well. A fault that could not
 * be done gives false.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { GatewayProcess } from '../../harness/gateway-process.js';
import { waitUntil } from '../../harness/cluster.js';
import { type Random } from '../../faults/random.js';
import { startEmptyLeader } from './empty-leader.js';
import { restoreTable } from './leader-faults.js';
import { scrape, type FollowerSite, type SoakClusters } from './soak-clusters.js';

const FAULT_MS_MAX = 6_000;
const DELAY_MS_MAX = 300;
/** A lease lasts three seconds: whoever is stopped for longer loses its tables to somebody else. */
const PAUSE_MS = { least: 3_500, most: 7_000 };
/** Longer than the log of the leader cluster lasts while there are writers. */
const AWAY_MS = { least: 6_000, most: 12_000 };
const EMPTY_MS = { least: 2_500, most: 4_000 };
const RECOVERY_MS = 10_000;
const LOOK_MS = 20;

/** All ways to the leader cluster break at once, again and again at times. */
export async function cutLink({ links }: FollowerSite, random: Random): Promise<boolean> {
  for (let left = random.between(1, 3); left > 0; left--) {
    for (const link of links) link.cut();
    await sleep(random.below(FAULT_MS_MAX / 2));
    for (const link of links) link.heal();
    await sleep(random.below(500));
  }
  return true;
}

/** Slow, and then silent: bytes wait, and connections stay. */
export async function slowLink({ links }: FollowerSite, random: Random): Promise<boolean> {
  for (const link of links) link.slow(random.between(5, DELAY_MS_MAX));
  await sleep(random.below(FAULT_MS_MAX));
  if (random.chance(0.5)) {
    for (const link of links) link.hold();
    await sleep(random.below(FAULT_MS_MAX));
  }
  for (const link of links) link.heal();
  return true;
}

/** Its batches are left in doubt while somebody else takes the table over; then it comes back and goes on. */
export async function pausePuller(
  site: FollowerSite,
  table: string,
  random: Random,
): Promise<boolean> {
  const gateway = await site.pullerOf(table);
  if (!gateway) return false;
  gateway.signal('SIGSTOP');
  await sleep(random.between(PAUSE_MS.least, PAUSE_MS.most));
  gateway.signal('SIGCONT');
  return true;
}

export async function killPuller(
  site: FollowerSite,
  table: string,
  random: Random,
): Promise<boolean> {
  const gateway = await site.pullerOf(table);
  if (!gateway) return false;
  await gateway.kill();
  await sleep(random.below(FAULT_MS_MAX));
  await gateway.start();
  return true;
}

/** Nobody pulls while writers write: the log is cut beyond the copies. */
export async function stayAway({ gateways }: FollowerSite, random: Random): Promise<boolean> {
  for (const gateway of gateways) await gateway.kill();
  await sleep(random.between(AWAY_MS.least, AWAY_MS.most));
  for (const gateway of gateways) await gateway.start();
  return true;
}

/** A restored table comes as a whole; whoever fetches it is killed in the middle. */
export async function killInSnapshot(
  clusters: SoakClusters,
  site: FollowerSite,
  table: string,
  random: Random,
): Promise<boolean> {
  if (!(await restoreTable(clusters, table, random))) return false;
  const line = new RegExp(`^flotilla_puller_state\\{table="${table}",state="recovering"\\} 1`, 'm');
  for (const endMs = performance.now() + RECOVERY_MS; performance.now() < endMs;) {
    for (const gateway of site.gateways) {
      if (!line.test(await scrape(gateway))) continue;
      await sleep(random.below(500));
      await gateway.kill();
      await sleep(random.below(FAULT_MS_MAX / 3));
      await gateway.start();
      return true;
    }
    await sleep(LOOK_MS);
  }
  return false;
}

/** For a while the cluster is told that there are no tables at all: it must not lose one. */
export async function sayNoTables(site: FollowerSite, random: Random): Promise<boolean> {
  const { gateways, cluster, client } = site;
  for (const gateway of gateways) await gateway.kill();
  const before = await namesOf(site);
  const empty = await startEmptyLeader();
  const astray = await GatewayProcess.startFollower(cluster.endpoints, empty.address);
  try {
    await waitUntil('it was asked', () => empty.asked() > 2);
    await sleep(random.between(EMPTY_MS.least, EMPTY_MS.most));
    const after = (await client.listTables()).map(({ name }) => name);
    const lost = before.filter((name) => !after.includes(name));
    if (lost.length > 0) throw new Error(`${site.name} lost ${lost.join()} by an empty answer`);
  } finally {
    await astray.kill();
    await empty.close();
    for (const gateway of gateways) await gateway.start();
  }
  return true;
}

async function namesOf({ client }: FollowerSite): Promise<string[]> {
  return (await client.listTables()).map(({ name }) => name);
}
