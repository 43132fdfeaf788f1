import { join } from 'node:path';
import { inject } from 'inversify';
import { contactSheet, writePng } from '../datasets/image/picture-file.js';
import type { RunState } from '../engine/run-state.js';
import { startProgress, type Logger } from '../base/logger.js';
import { HOOKS, Hook, type DrawnBy, type PlannedRun } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import type { HostTensor } from '../tensor/host.js';
import type { SampleRequest, WeightSet } from '../sampling/sample-request.js';

@HOOKS.register()
export class VisualizationHook extends Hook {
  static readonly options = {
    description:
      'Renders the same prompts with the same seeds before training and every `interval` iterations, into vis/ of the work dir.',
    type: 'object',
    additionalProperties: false,
    required: ['prompt'],
    properties: {
      prompt: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        description: 'one picture per prompt',
      },
      negative_prompt: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        default: '',
        description: 'what should not be in the pictures: for all, or one per prompt',
      },
      interval: {
        type: 'integer',
        minimum: -1,
        default: 100,
        description: 'iterations between pictures; -1: none on the way',
      },
      by_epoch: {
        type: 'boolean',
        enum: [false],
        default: false,
        description: 'intervals count iterations; here for configs of mmengine',
      },
      before_train: {
        type: 'boolean',
        default: true,
        description: 'also render before the first iteration, to compare with',
      },
      height: { type: 'integer', minimum: 8, multipleOf: 8, default: 512, description: 'pixels' },
      width: { type: 'integer', minimum: 8, multipleOf: 8, default: 512, description: 'pixels' },
      num_inference_steps: { type: 'integer', minimum: 1, default: 50, description: 'denoising steps per picture' },
      guidance_scale: {
        type: 'number',
        minimum: 0,
        default: 7.5,
        description: 'classifier-free guidance; 1 or less: without, twice as fast',
      },
      scheduler: { type: 'string', description: "sampler, such as DDIMScheduler. Default: the pipeline's own" },
      seed: { type: 'integer', minimum: 0, default: 0, description: 'picture k starts from the noise of seed + k' },
    },
  } as const satisfies OptionsSchema;
  /** After CheckpointHook, which default_hooks hold: rendering takes long, and what is trained should be safe by then. */
  override readonly priority = 'VERY_LOW';
  private lastRendered: string | undefined;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof VisualizationHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override drawnBy(): DrawnBy {
    return { scheduler: this.opts.scheduler, steps: this.opts.num_inference_steps };
  }

  override async plan(run: PlannedRun): Promise<void> {
    const { interval, before_train } = this.opts,
      onTheWay = interval > 0 ? Math.floor(run.maxIters / interval) : 0;
    const atTheEnd = interval > 0 && run.maxIters % interval === 0 ? 0 : 1;
    await run.draws(this.request(run.weights), (before_train ? 1 : 0) + onTheWay + atTheEnd);
  }

  override async beforeTrain(run: RunState): Promise<void> {
    if (this.opts.before_train && run.iter === 0) await this.render(run, 'before');
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval)) await this.render(run, `step${run.iter}`);
  }

  override async afterTrain(run: RunState): Promise<void> {
    await this.render(run, `step${run.iter}`);
  }

  private request(weights: WeightSet): SampleRequest {
    const { opts } = this,
      prompts = [opts.prompt].flat();
    return {
      prompts,
      negative_prompt: opts.negative_prompt,
      seeds: prompts.map((_, k) => opts.seed + k),
      steps: opts.num_inference_steps,
      guidance_scale: opts.guidance_scale,
      height: opts.height,
      width: opts.width,
      weights,
      ...(opts.scheduler === undefined ? {} : { scheduler: opts.scheduler }),
    };
  }

  /** Files vis/<name>/<k>.png and the contact sheet vis/<name>.png. */
  private async render(run: RunState, name: string): Promise<void> {
    if (this.lastRendered === name || run.signal.aborted) return;
    const plain = this.request(run.weights),
      { prompts } = plain;
    const bar = startProgress(this.log, prompts.length * plain.steps);
    const pictures: HostTensor[] = [];
    try {
      const request = {
        ...plain,
        signal: run.signal,
        onStep: (done: number) => bar?.update(done, `pictures of ${name}`),
      };
      for await (const picture of run.model.sample(request)) {
        await writePng(run.workDir.file(join('vis', name, `${pictures.length}.png`)), picture);
        pictures.push(picture);
      }
    } finally {
      bar?.stop();
    }
    if (pictures.length < prompts.length) return; // a signal stopped the rendering
    const sheet = run.workDir.file(join('vis', `${name}.png`));
    await writePng(sheet, contactSheet(pictures));
    this.lastRendered = name;
    const paths = pictures.map((_, k) => run.workDir.file(join('vis', name, `${k}.png`)));
    run.emit({ kind: 'pictures', iter: run.iter, paths, prompts, sheet });
    this.log.info(`pictures: ${sheet}`);
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    VisualizationHook: typeof VisualizationHook;
  }
}
