import { inject } from 'inversify';
import { bestOf, judged, measures, type Judged } from '../engine/best-evaluation.js';
import { markBest, pruneCheckpoints } from '../engine/checkpoint.js';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';

@HOOKS.register()
export class CheckpointHook extends Hook {
  static readonly options = {
    description:
      'Saves a checkpoint to resume from every `interval` iterations, removes old ones, and keeps the best one of EvaluationHook.',
    type: 'object',
    additionalProperties: false,
    properties: {
      interval: {
        type: 'integer',
        minimum: -1,
        default: 100,
        description: 'iterations between checkpoints; -1: none on the way',
      },
      max_keep_ckpts: {
        type: 'integer',
        minimum: -1,
        default: -1,
        description: 'how many of this run are kept, the newest, and the best one; -1: all',
      },
      save_last: { type: 'boolean', default: true, description: 'save the last iteration, whatever the interval' },
      save_best: {
        type: ['string', 'null'],
        default: null,
        description:
          'metric of EvaluationHook by which the best checkpoint is saved and kept, such as CLIP-IT, or auto: the first',
      },
      rule: {
        type: 'string',
        enum: ['greater', 'less'],
        description: "which values of save_best are better. Default: the metric's own",
      },
      by_epoch: {
        type: 'boolean',
        enum: [false],
        default: false,
        description: 'intervals count iterations; here for configs of mmengine',
      },
    },
  } as const satisfies OptionsSchema;
  override readonly priority = 'VERY_LOW';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof CheckpointHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override get period(): number {
    return this.opts.interval;
  }

  override async beforeTrain(run: RunState): Promise<void> {
    if (this.opts.save_best === null) return;
    if (!measures(run.config))
      this.log.warn('CheckpointHook.save_best: nothing measures this run; add EvaluationHook with an interval');
    await markBest(run.workDir, this.best(run)?.iter); // of what a resumed run has behind it
  }

  override async afterValEpoch(run: RunState): Promise<void> {
    const best = this.best(run);
    if (!best || best.iter !== run.iter) return;
    await this.save(run);
    await markBest(run.workDir, run.iter);
    this.log.info(`best so far: ${best.name} ${best.value.toFixed(3)} after iteration ${best.iter}`);
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval)) await this.save(run);
  }

  override async afterTrain(run: RunState): Promise<void> {
    if (this.opts.save_last) await this.save(run);
  }

  private best({ evaluations }: RunState): Judged | undefined {
    const { save_best: metric, rule } = this.opts;
    return metric === null ? undefined : bestOf(judged(evaluations, metric, rule, 'CheckpointHook.save_best'));
  }

  private async save(run: RunState): Promise<void> {
    const folder = await run.saveCheckpoint();
    this.log.debug(`saved ${folder}`);
    if (this.opts.max_keep_ckpts > 0) await pruneCheckpoints(run.workDir, folder, this.opts.max_keep_ckpts);
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    CheckpointHook: typeof CheckpointHook;
  }
}
