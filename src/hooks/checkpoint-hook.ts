import { inject } from 'inversify';
import { pruneCheckpoints } from '../engine/checkpoint.js';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';

@HOOKS.register()
export class CheckpointHook extends Hook {
  static readonly options = {
    description: 'Saves a checkpoint to resume from every `interval` iterations, and removes old ones.',
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
        description: 'how many of this run are kept, the newest; -1: all',
      },
      save_last: { type: 'boolean', default: true, description: 'save the last iteration, whatever the interval' },
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

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval)) await this.save(run);
  }

  override async afterTrain(run: RunState): Promise<void> {
    if (this.opts.save_last) await this.save(run);
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
