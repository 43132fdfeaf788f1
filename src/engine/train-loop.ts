/** The loop of a run, and the two ways it can end early. */
import { Interrupted, UserError } from '../base/errors.js';
import type { DataLoader } from '../datasets/loader.js';
import type { Phases } from './phases.js';
import type { IterEvent } from './run-events.js';
import type { RunHooks } from './run-hooks.js';
import type { RunState } from './run-state.js';
import type { TrainStep } from './train-step.js';

export interface LoopParts {
  readonly loader: Pick<DataLoader, 'batch' | 'batchOf'>;
  readonly step: Pick<TrainStep, 'run' | 'brokenWeight'>;
  readonly hooks: RunHooks;
  readonly phases: Phases;
  /** the learning rate of an iteration */
  readonly lr: (iteration: number) => number;
  /** asked after each iteration: a hook called `run.stop` */
  readonly stopped: () => boolean;
  /** kept up to date, for whoever saves after an error */
  readonly trained: Trained;
}

/** What the states hold. */
export interface Trained {
  /** last iteration, -1 before the first; undefined while a step writes them, and after one that gave no numbers */
  iter: number | undefined;
}

/**
 * Trains from `run.iter` to the end. Afterwards `run.iter` is the last iteration that ran.
 * @throws UserError when the loss is no longer a number, before any hook can save that state
 * @throws Interrupted after a signal, when the checkpoint is written
 */
export async function trainLoop(run: RunState, parts: LoopParts): Promise<void> {
  const { hooks, stopped } = parts;
  await hooks.call('beforeTrain', run);
  if (run.ranks.size > 1) run.model.encodings?.share();
  if (run.iter > 0 && (await agreed(run, stopped())))
    run.iter--; // what is resumed had come to its end
  else await iterate(run, parts);
  await hooks.call('afterTrain', run);
}

async function iterate(run: RunState, parts: LoopParts): Promise<void> {
  const { loader, step, hooks, phases, lr, stopped, trained } = parts;
  for (;;) {
    const samples = await phases.measure('data', () => loader.batch(run.iter));
    await hooks.call('beforeTrainIter', run);
    const now = { iteration: run.iter, lr: lr(run.iter) };
    const chance = { iteration: loader.batchOf(run.iter), rng: run.rng };
    const feeds = await phases.measure('encode', () => run.model.feeds(samples, chance));
    await shareEncodings(run);
    trained.iter = undefined;
    run.logs = { ...(await phases.measure('steps', () => step.run(feeds, now))), lr: now.lr };
    await requireFinite(run, step);
    trained.iter = run.iter;
    run.emit(iterEvent(run));
    await hooks.afterTrainIter(run);
    if (run.isLast || (await agreed(run, stopped()))) return;
    if (run.signal.aborted) throw await interrupted(run);
    run.iter++;
  }
}

/** Whether any rank says so. */
const agreed = async ({ ranks }: RunState, yes: boolean): Promise<boolean> => (await ranks.max(yes ? 1 : 0)) > 0;

/**
 * What each rank has encoded for its batch: a picture or a text is encoded by one of them, as a rule. All meet here, before
 * a step that cannot be undone, so that the error of one is heard while the others can save.
 */
async function shareEncodings({ ranks, model: { encodings } }: RunState): Promise<void> {
  if (ranks.size === 1) return;
  const all = await ranks.allGather(encodings?.take() ?? new Uint8Array(0));
  for (const [rank, bytes] of all.entries()) if (rank !== ranks.rank) encodings?.add(bytes);
}

function iterEvent({ iter, maxIters, logs }: RunState): IterEvent {
  const { loss, lr, grad_norm } = logs;
  return { kind: 'iter', iter, maxIters, loss, lr, ...(grad_norm !== undefined && { grad_norm }), logs };
}

/** The parameters have already taken the bad step, so this must come before hooks look at them. */
async function requireFinite(run: RunState, step: Pick<TrainStep, 'brokenWeight'>): Promise<void> {
  for (const name of ['loss', 'grad_norm']) {
    const value = run.logs[name];
    if (value === undefined || Number.isFinite(value)) continue;
    const broken = await step.brokenWeight();
    if (broken !== undefined)
      throw new UserError(`${broken}, so that ${name} is ${value}; nothing can be trained on it, use another file`, {
        code: 'LOSS_NOT_FINITE',
      });
    throw new UserError(
      `iteration ${run.iter}: ${name} is ${value} (learning rate ${run.logs['lr']}); nothing of this iteration was saved. ` +
        'Try a lower optim_wrapper.optimizer.lr, a warm-up (param_scheduler: LinearLR) or optim_wrapper.clip_grad, and --resume from the last checkpoint',
      { code: 'LOSS_NOT_FINITE' },
    );
  }
}

async function interrupted(run: RunState): Promise<Interrupted> {
  const folder = await run.saveCheckpoint();
  const left = run.maxIters - run.iter - 1;
  return new Interrupted(
    `stopped after iteration ${run.iter}, ${left} left; saved ${folder}. Add --resume to the same command to continue`,
    { cause: run.signal.reason },
  );
}
