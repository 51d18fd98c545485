/**
 * Public face of consensus: the protocol core, the durable log, the host of many groups, and
 * what nodes send to each other.
 */
export * from './core/index.js';
export * from './host/index.js';
export * from './log-store/index.js';
export * from './wire/index.js';
