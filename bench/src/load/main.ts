/**
 * The load client as a process of its own: a plan comes in over IPC, a result or an error goes out.
 *
 * It ends with the process that started it.
 */
import { LoadRun } from './load-run.js';
import type { LoadPlan } from './plan.js';

process.on('message', (plan: LoadPlan) => {
  new LoadRun(plan).run().then(
    (result) => process.send?.({ result }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit(0));
