import { inject } from 'inversify';
import type { Executable, Program } from '../backends/backend.js';
import type { Parameters } from '../engine/parameters.js';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook, type PlannedRun } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { OPTIONS } from '../registry/tokens.js';
import { scalar } from '../tensor/host.js';
import { add, mul, sub } from '../tensor/ops.js';
import { input } from '../tensor/tensor.js';

/**
 * Polyak averaging; numbers and start as mmengine's EMAHook with ExponentialMovingAverage. With accumulated gradients only
 * updates count, as in diffusers' trainings, so that the average does not depend on how many batches make one.
 */
@HOOKS.register()
export class EMAHook extends Hook {
  static readonly options = {
    description: 'Keeps a moving average of the trained weights; validation pictures and saved adapters use it.',
    type: 'object',
    additionalProperties: false,
    properties: {
      momentum: {
        type: 'number',
        exclusiveMinimum: 0,
        exclusiveMaximum: 1,
        default: 2e-4,
        description: 'share of the new weights in each update',
      },
      begin_iter: {
        type: 'integer',
        minimum: 0,
        default: 0,
        description: 'until here the average is a copy of the weights',
      },
    },
  } as const satisfies OptionsSchema;
  override readonly priority = 'ABOVE_NORMAL';
  override readonly ranks = 'all';
  private program: Executable | undefined;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof EMAHook.options>) {
    super();
  }

  override async plan(run: PlannedRun): Promise<void> {
    run.weights = 'ema';
    const { accumulative_counts: n = 1 } = (run.config['optim_wrapper'] ?? {}) as { accumulative_counts?: number };
    await run.runs(average(run.parameters), Math.ceil(run.maxIters / n));
  }

  override async beforeRun(run: RunState): Promise<void> {
    const { parameters, backend } = run;
    await parameters.copy(backend.states, 'params', 'ema');
    run.stateNames.push(...parameters.stateNames('ema'));
    run.weights = 'ema';
    this.program = await backend.compile(average(parameters));
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (!run.isUpdate) return;
    const momentum = run.update === 0 || run.iter <= this.opts.begin_iter ? 1 : this.opts.momentum;
    await this.program?.run({ momentum: scalar(momentum) });
  }

  override async afterRun(): Promise<void> {
    await this.program?.dispose();
  }
}

/** ema * (1 - m) + params * m: an exact copy at m = 1 */
function average(parameters: Parameters): Program {
  const momentum = input('momentum', []);
  const updates = parameters.buckets.map(
    (b) =>
      [
        parameters.stateName('ema', b),
        add(mul(parameters.stateLeaf('ema', b), sub(1, momentum)), mul(parameters.stateLeaf('params', b), momentum)),
      ] as const,
  );
  return { name: 'ema', outputs: {}, updates: Object.fromEntries(updates) };
}

declare module '../registry/kinds.js' {
  interface HookMap {
    EMAHook: typeof EMAHook;
  }
}
