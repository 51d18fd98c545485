/**
 * Runs the cross test of clients and servers with many calls.
 *
 *     node libs/grpc/tools/cross.mjs [calls] [seed]
 *
 * Default: 10,000 calls for each pair, from a new seed. The seed is printed and makes the same calls.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SEEDS = 2 ** 31;
const [calls = '10000', seed = String(Math.floor(Math.random() * SEEDS))] = process.argv.slice(2);
console.log(`${calls} calls for each pair of client and server, from seed ${seed}`);
const { status } = spawnSync('npx', ['vitest', 'run', 'test/cross'], {
  cwd: fileURLToPath(new URL('..', import.meta.url)),
  env: { ...process.env, CROSS_CALLS: calls, CROSS_SEED: seed },
  stdio: 'inherit',
});
process.exit(status ?? 1);
