import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'inversify';
import { contactSheet, writePng } from '../datasets/image/picture-file.js';
import { UserError } from '../base/errors.js';
import { resolvePackagePath } from '../base/package-path.js';
import { isPromptFile, readPrompts } from '../evaluation/pictures.js';
import type { RunState } from '../engine/run-state.js';
import { type Logger } from '../base/logger.js';
import { track } from '../base/progress.js';
import { HOOKS, Hook, type DrawnBy, type PlannedRun } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';
import { GUIDANCE_RESCALE, GUIDANCE_RESCALE_TEXT } from '../registry/guidance-rescale.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import type { HostTensor } from '../tensor/host.js';
import { captionsText, copyTrainingPictures } from './training-pictures.js';
import { CAPTIONS_FILE, PICTURES } from '../runs/pictures.js';
import type { SampleRequest, WeightSet } from '../sampling/sample-request.js';

/** Of pictures of the untrained model. */
const BEFORE = 'before';

@HOOKS.register()
export class VisualizationHook extends Hook {
  static readonly options = {
    description:
      'Renders the same prompts with the same seeds before training and every `interval` iterations, into vis/ of the work dir, beside copies of some training pictures.',
    type: 'object',
    additionalProperties: false,
    required: ['prompt'],
    properties: {
      prompt: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        description:
          'one picture per prompt; or a file of prompts, .txt with one per line or a table (.csv, .tsv, .jsonl)',
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
      height: { ...PICTURE_SIDE, default: 512, description: 'pixels' },
      width: { ...PICTURE_SIDE, default: 512, description: 'pixels' },
      num_inference_steps: { type: 'integer', minimum: 1, default: 50, description: 'denoising steps per picture' },
      guidance_scale: {
        type: 'number',
        minimum: 0,
        default: 7.5,
        description: 'classifier-free guidance; 1 or less: without, twice as fast',
      },
      guidance_rescale: { ...GUIDANCE_RESCALE, default: 0, description: GUIDANCE_RESCALE_TEXT },
      scheduler: { type: 'string', description: "sampler, such as DDIMScheduler. Default: the pipeline's own" },
      seed: { type: 'integer', minimum: 0, default: 0, description: 'picture k starts from the noise of seed + k' },
    },
  } as const satisfies OptionsSchema;
  /** After CheckpointHook, which default_hooks hold: rendering takes long, and what is trained should be safe by then. */
  override readonly priority = 'VERY_LOW';
  override readonly ranks = 'all';
  private lastRendered: string | undefined;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof VisualizationHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    const { prompt } = opts; // a missing file is told now, not after hours of class pictures
    if (isPromptFile(prompt) && !existsSync(resolvePackagePath(prompt)))
      throw new UserError(`VisualizationHook.prompt: ${prompt}: no such file of prompts`, { code: 'FILE_NOT_FOUND' });
  }

  override get period(): number {
    return this.opts.interval;
  }

  override drawnBy(): DrawnBy {
    return { scheduler: this.opts.scheduler, steps: this.opts.num_inference_steps };
  }

  override async plan(run: PlannedRun): Promise<void> {
    const { interval, before_train } = this.opts,
      onTheWay = interval > 0 ? Math.floor(run.maxIters / interval) : 0;
    const atTheEnd = interval > 0 && run.maxIters % interval === 0 ? 0 : 1;
    await run.draws(await this.request(run.weights), (before_train ? 1 : 0) + onTheWay + atTheEnd);
  }

  override async beforeTrain(run: RunState): Promise<void> {
    if (run.ranks.rank === 0)
      await copyTrainingPictures(run).catch((error: Error) =>
        this.log.debug(`no copies of training pictures: ${error.message}`),
      );
    if (this.opts.before_train && run.iter === 0) await this.render(run, BEFORE);
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.every(this.opts.interval)) await this.render(run, `step${run.iter}`);
  }

  override async afterTrain(run: RunState): Promise<void> {
    await this.render(run, `step${run.iter}`);
  }

  private async request(weights: WeightSet): Promise<SampleRequest> {
    const { opts } = this,
      prompts = isPromptFile(opts.prompt) ? await readPrompts(opts.prompt) : [opts.prompt].flat();
    return {
      prompts,
      negative_prompt: opts.negative_prompt,
      seeds: prompts.map((_, k) => opts.seed + k),
      steps: opts.num_inference_steps,
      guidance_scale: opts.guidance_scale,
      guidance_rescale: opts.guidance_rescale,
      height: opts.height,
      width: opts.width,
      weights,
      ...(opts.scheduler === undefined ? {} : { scheduler: opts.scheduler }),
    };
  }

  /** Files vis/<name>/<k>.png and the contact sheet vis/<name>.png. */
  private async render(run: RunState, name: string): Promise<void> {
    if (this.lastRendered === name || run.signal.aborted) return;
    const plain = await this.request(run.weights),
      { prompts } = plain;
    const bar = track(this.log, {
      what: name === BEFORE ? 'pictures before training' : `pictures of ${name}`,
      total: prompts.length,
      each: plain.steps,
    });
    const pictures: HostTensor[] = [];
    try {
      const request = {
        ...plain,
        signal: run.signal,
        onStep: bar.update,
      };
      for await (const picture of run.draw(request)) {
        await writePng(run.workDir.file(join(PICTURES, name, `${pictures.length}.png`)), picture);
        pictures.push(picture);
      }
    } finally {
      bar.stop();
    }
    if (pictures.length < prompts.length) return; // a signal stopped the rendering
    const sheet = run.workDir.file(join(PICTURES, `${name}.png`));
    await writePng(sheet, contactSheet(pictures));
    this.lastRendered = name;
    await run.workDir.write(join(PICTURES, name, CAPTIONS_FILE), captionsText(prompts));
    const paths = pictures.map((_, k) => run.workDir.file(join(PICTURES, name, `${k}.png`)));
    run.emit({ kind: 'pictures', iter: run.iter, paths, prompts, sheet });
    this.log.info(`pictures: ${sheet}`);
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    VisualizationHook: typeof VisualizationHook;
  }
}
