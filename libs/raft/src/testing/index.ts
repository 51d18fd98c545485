/**
 * What simulations are made of: chance under a seed, a clock with a queue, a disk that forgets, and
 * the properties that must hold whatever happens.
 */
export {
  SimulatedFiles,
  type FileOperation,
  type Pick,
} from '../log-store/testing/simulated-files.js';
export { groupsOf, raftOf } from './inspect.js';
export { InvariantError, RaftInvariants } from './raft-invariants.js';
export { SimRandom } from './sim-random.js';
export { SimWorld, type CancelEvent } from './sim-world.js';
