/**
 * Replays the transcripts of membership changes: each directive is one change, applied to what the
 * ones before it left.
 */
import { ConfChangeError, Changer, type ChangeResult } from '../../src/core/confchange/changer.js';
import { parseConfChanges } from '../../src/core/confchange/format.js';
import { progressMapToString } from '../../src/core/tracker/progress.js';
import { ProgressTracker } from '../../src/core/tracker/tracker.js';
import type { Directive, DirectiveHandler } from './datadriven.js';

const INFLIGHT_MESSAGES_MAX = 10;

export function newConfChangeHandler(): DirectiveHandler {
  const tracker = new ProgressTracker(INFLIGHT_MESSAGES_MAX, 0);
  // Grows with every directive, so that it shows who was added when.
  let lastIndex = 0;
  return (directive) => {
    try {
      const result = change(new Changer(tracker, lastIndex), directive);
      if (typeof result === 'string') return result;
      tracker.config = result.config;
      tracker.progress = result.progress;
      return `${tracker.config.toString()}\n${progressMapToString(tracker.progress)}`;
    } catch (error) {
      if (error instanceof ConfChangeError || error instanceof SyntaxError) return error.message;
      throw error;
    } finally {
      lastIndex++;
    }
  };
}

/** The next configuration, or the text that the command ends with. */
function change(changer: Changer, { cmd, args, input }: Directive): ChangeResult | string {
  const changes = parseConfChanges(input);
  switch (cmd) {
    case 'simple':
      return changer.simple(changes);
    case 'enter-joint': {
      const autoLeave = args.find(({ key }) => key === 'autoleave')?.vals[0];
      return changer.enterJoint(toBoolean(autoLeave ?? 'false'), changes);
    }
    case 'leave-joint':
      if (changes.length > 0) return 'this command takes no input';
      return changer.leaveJoint();
    default:
      return 'unknown command';
  }
}

function toBoolean(text: string): boolean {
  if (text === 'true' || text === 't') return true;
  if (text === 'false' || text === 'f') return false;
  throw new Error(`not a boolean: ${text}`);
}
