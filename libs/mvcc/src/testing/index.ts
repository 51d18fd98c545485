/**
 * What tests of other parts may use: the compliance suite of the engine port.
 */
export { engineCompliance, type EngineUnderTest, readRange } from './engine-compliance.js';
