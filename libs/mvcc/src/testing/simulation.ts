/**
 * What simulations of other parts may use; needs no test runner.
 */
export { SimulatedEngine } from './simulated-engine.js';
