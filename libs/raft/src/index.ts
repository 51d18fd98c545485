/**
 * Public face of consensus: the protocol core, the durable log, and the host of many groups.
 */
export * from './core/index.js';
export * from './host/index.js';
export * from './log-store/index.js';
