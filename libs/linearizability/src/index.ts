/**
 * Public face of the checker: histories in, verdicts out. A library for tests; no program uses it.
 */
export {
  CONFIGURATIONS_MAX_DEFAULT,
  STEPS_MAX_DEFAULT,
  checkLinearizable,
} from './checker/check-linearizable.js';
export { checkByKey, type KeyedResult } from './checker/check-by-key.js';
export { describeViolation } from './checker/describe-violation.js';
export * from './checker/operation.js';
export * from './formats/flotilla-history.js';
export { decodeJepsenLog } from './formats/jepsen-log.js';
export { decodeKvLog, type KeyedTextInput } from './formats/kv-log.js';
export { historiesBelow, isRight, judgeHistory, type Judgement } from './histories/judge.js';
export * from './models/kv-model.js';
export * from './models/register-model.js';
export * from './models/text-model.js';
