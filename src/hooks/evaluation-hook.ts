import { createHash } from 'node:crypto';
import { inject } from 'inversify';
import { fromSamples, isPromptFile, openPictures, readPrompts, type PictureSet } from '../evaluation/pictures.js';
import {
  observe,
  pictureFeatures,
  subjectRows,
  repeated,
  summarise,
  withoutTokens,
  type Drawing,
  type Score,
  type Seen,
} from '../evaluation/observe.js';
import { present, previewOf } from '../evaluation/settings.js';
import { fromFirst } from '../collectives/collectives.js';
import type { Evaluation, RunState, Scored } from '../engine/run-state.js';
import { UserError } from '../base/errors.js';
import { type Logger } from '../base/logger.js';
import { track } from '../base/progress.js';
import { type FeatureExtractor, type Metric, METRICS } from '../evaluation/metrics/metric.js';
import { ClipFeatures } from '../sampling/clip-features.js';
import type { WeightSet } from '../sampling/sample-request.js';
import { resolveDataset } from '../formats/hub/hub.js';
import { resolvePackagePath } from '../base/package-path.js';
import { HOOKS, Hook, type DrawnBy, type PlannedRun } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, CACHE_DIR, LOGGER, OPTIONS, type Build } from '../registry/tokens.js';
import { validateComponent } from '../registry/validate.js';
import { GUIDANCE_RESCALE, GUIDANCE_RESCALE_TEXT } from '../registry/guidance-rescale.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import { EVALUATION_FILE, readEvaluation, scoreText, valueText, type RunEvaluation } from '../runs/evaluation-file.js';

@HOOKS.register()
export class EvaluationHook extends Hook {
  static readonly options = {
    description:
      'Measures the model before training, every `interval` iterations and at the end: how well pictures show the subject (CLIP-I) and the prompt (CLIP-T).',
    type: 'object',
    additionalProperties: false,
    required: ['clip'],
    properties: {
      clip: { type: 'string', description: "folder of a CLIP checkpoint in transformers' format" },
      interval: {
        type: 'integer',
        minimum: -1,
        default: -1,
        description: 'iterations between evaluations on the way; -1: none',
      },
      metrics: {
        type: 'array',
        items: { type: 'object', component: 'METRICS' },
        minItems: 1,
        default: [{ type: 'ClipImageScore' }, { type: 'ClipScore' }],
        description: 'what is measured',
      },
      prompts: {
        anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' }, minItems: 1 }],
        description: "what is drawn: a list, or a file with one per line. Default: VisualizationHook's",
      },
      drop_tokens: {
        type: 'array',
        items: { type: 'string', minLength: 1 },
        default: ['sks'],
        description: 'words that CLIP is not shown, for it cannot know them',
      },
      instances: {
        anyOf: [{ type: 'string' }, { type: 'object', component: 'DATASETS' }],
        description: 'pictures of the subject: a folder or a dataset. Default: the training pictures',
      },
      num_images: {
        type: 'integer',
        minimum: 1,
        default: 8,
        description: 'pictures per seed; prompts are repeated to make as many',
      },
      seeds: {
        type: 'integer',
        minimum: 1,
        default: 1,
        description: 'how often all is drawn; with two or more, intervals are known',
      },
      negative_prompt: {
        type: 'string',
        description: "what should not be in the pictures. Default of this and of the following: VisualizationHook's",
      },
      height: { ...PICTURE_SIDE, description: 'pixels' },
      width: { ...PICTURE_SIDE, description: 'pixels' },
      num_inference_steps: { type: 'integer', minimum: 1, description: 'denoising steps per picture' },
      guidance_scale: {
        type: 'number',
        minimum: 0,
        description: 'classifier-free guidance; 1 or less: without, twice as fast',
      },
      guidance_rescale: { ...GUIDANCE_RESCALE, description: GUIDANCE_RESCALE_TEXT },
      scheduler: { type: 'string', description: 'sampler, such as DDIMScheduler' },
    },
  } as const satisfies OptionsSchema;
  /** After CheckpointHook, which default_hooks hold, and before ReportHook. */
  override readonly priority = 'VERY_LOW';
  override readonly ranks = 'all';
  private found: RunEvaluation | undefined;
  /** stands for the settings: values compare where it is equal */
  private key = '';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof EvaluationHook.options>,
    @inject(BUILD) private readonly build: Build,
    @inject(CACHE_DIR) private readonly cacheDir: string,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override get period(): number {
    return this.opts.interval;
  }

  override async plan(run: PlannedRun): Promise<void> {
    const { prompts, request } = await this.drawing(run.config),
      seeds = prompts.map((_, k) => k);
    await run.draws({ ...request, prompts, seeds, weights: 'base' }, this.opts.seeds);
    const onTheWay = Array.from({ length: run.maxIters - 1 }, (_, i) => i).filter((i) => this.isDue(i)).length;
    await run.draws({ ...request, prompts, seeds, weights: run.weights }, (onTheWay + 1) * this.opts.seeds);
  }

  /** Everything that can be wrong is found here, not after hours of training. */
  override async beforeTrain(run: RunState): Promise<void> {
    const drawing = await this.drawing(run.config),
      old = await fromFirst(run.ranks, async () => (await readEvaluation(run.workDir.file(EVALUATION_FILE))) ?? null);
    await this.withClip(run, async (clip, metrics) => {
      const settings = {
        model: run.model.fingerprint,
        clip: clip.fingerprint,
        metrics: this.opts.metrics,
        prompts: drawing.prompts,
        texts: drawing.texts,
        seeds: this.seeds,
        instances: this.opts.instances ?? 'training pictures',
        request: drawing.request,
      };
      this.key = fingerprintOf(settings);
      const known = run.iter > 0 && old && fingerprintOf(old.settings) === this.key,
        before = known ? old.before : await this.measure(run, drawing, 'base', clip, metrics);
      if (!before) return;
      await this.write(run, { settings, before, during: this.during(run) });
      if (!known) this.tell(run, 'before', before);
      if (run.iter > 0) await this.catchUp(run, drawing, clip, metrics);
    });
  }

  /** A checkpoint is saved before its own evaluation: what was not measured yet is, as in an uninterrupted run. */
  private async catchUp(...[run, drawing, clip, metrics]: Parameters<EvaluationHook['onTheWay']>): Promise<void> {
    run.iter--;
    try {
      if (this.isDue(run.iter) && this.during(run).at(-1)?.iter !== run.iter)
        await this.onTheWay(run, drawing, clip, metrics);
    } finally {
      run.iter++;
    }
  }

  override async afterTrainIter(run: RunState): Promise<void> {
    if (!this.isDue(run.iter) || run.isLast) return; // the end has its own
    const drawing = await this.drawing(run.config);
    await this.withClip(run, (clip, metrics) => this.onTheWay(run, drawing, clip, metrics));
  }

  private async onTheWay(
    run: RunState,
    drawing: Drawing,
    clip: FeatureExtractor,
    metrics: readonly Metric[],
  ): Promise<void> {
    const scores = await this.measure(run, drawing, run.weights, clip, metrics);
    if (scores) await this.file(run, scores, 'during');
  }

  private isDue(iter: number): boolean {
    const { interval } = this.opts;
    return interval > 0 && (iter + 1) % interval === 0;
  }

  /** Evaluations of this run that compare. */
  private during({ evaluations }: RunState): Evaluation[] {
    return evaluations.filter(({ key }) => key === this.key);
  }

  private async file(run: RunState, scores: readonly Scored[], when: 'during' | 'after'): Promise<void> {
    if (!this.found) return;
    if (when === 'during') this.log.info(`after iteration ${run.iter}: ${scoreText(scores)}`);
    this.tell(run, when, scores);
    await run.evaluated({ key: this.key, scores });
    const after = when === 'after' ? { after: scores } : {};
    await this.write(run, { ...this.found, during: this.during(run), ...after });
  }

  override async afterTrain(run: RunState): Promise<void> {
    const { found } = this;
    if (!found || run.signal.aborted) return;
    const last = this.during(run).at(-1);
    let after: readonly Scored[] | undefined = last?.iter === run.iter ? last.scores : undefined;
    if (after) await this.write(run, { ...found, after });
    else {
      const drawing = await this.drawing(run.config);
      after = await this.withClip(run, (clip, metrics) => this.measure(run, drawing, run.weights, clip, metrics));
      if (!after) return;
      await this.file(run, after, 'after');
    }
    const scores = after;
    this.log.info(found.before.map((b, i) => `${b.name} ${valueText(b)} -> ${valueText(scores[i])}`).join(', '));
  }

  private get seeds(): number[] {
    return Array.from({ length: this.opts.seeds }, (_, seed) => seed);
  }

  override drawnBy(config: Readonly<Record<string, unknown>>): DrawnBy {
    const { scheduler, num_inference_steps: steps } = this.previewed(config, ['']);
    return { scheduler, steps };
  }

  /** Options of the config's VisualizationHook, with these in place of its own. */
  private previewed(config: Readonly<Record<string, unknown>>, prompts: string | readonly string[]): Preview {
    const { negative_prompt, num_inference_steps, guidance_scale, guidance_rescale, height, width, scheduler } =
      this.opts;
    const own = present({
      ...{ negative_prompt, num_inference_steps, guidance_scale, guidance_rescale, height, width, scheduler },
    });
    return validateComponent(HOOKS, {
      ...previewOf(config),
      type: 'VisualizationHook',
      prompt: prompts,
      ...own,
    }) as unknown as Preview;
  }

  /** What VisualizationHook would draw with these options in place of its own. */
  private async drawing(config: Readonly<Record<string, unknown>>): Promise<Drawing> {
    const { opts } = this,
      preview = previewOf(config) as Preview | undefined,
      shown = preview?.prompt ?? [],
      prompts = opts.prompts ?? (isPromptFile(shown) ? shown : [shown].flat());
    if (prompts.length === 0)
      throw new UserError(
        'EvaluationHook.prompts: none are given, and no VisualizationHook has any; write prompts: [...]',
      );
    const all = this.previewed(config, prompts);
    const asked = repeated(await readPrompts(prompts), opts.num_images),
      negative = all.negative_prompt;
    return {
      prompts: asked,
      texts: asked.map((prompt) => withoutTokens(prompt, opts.drop_tokens)),
      request: {
        steps: all.num_inference_steps,
        guidance_scale: all.guidance_scale,
        guidance_rescale: all.guidance_rescale,
        height: all.height,
        width: all.width,
        negative_prompt: typeof negative === 'string' ? negative : repeated(negative, opts.num_images),
        ...(all.scheduler === undefined ? {} : { scheduler: all.scheduler }),
      },
    };
  }

  /** The CLIP is in memory only while it is used. */
  private async withClip<T>(
    run: RunState,
    work: (clip: ClipFeatures, metrics: readonly Metric[]) => Promise<T>,
  ): Promise<T> {
    const clip = await ClipFeatures.open(resolvePackagePath(this.opts.clip), run.backend, this.log);
    const metrics = this.opts.metrics.map((metric) => this.build(METRICS, metric as object));
    try {
      const wants = metrics.find(({ needs }) => needs.includes('reference'));
      if (wants)
        throw new UserError(
          `EvaluationHook.metrics: ${wants.constructor.name} compares with reference pictures, which a run has not; measure it afterwards with "diffengine eval"`,
        );
      for (const metric of metrics) await metric.prepare((source, where) => this.open(run, source, where));
      return await work(clip, metrics);
    } finally {
      for (const metric of metrics) await metric.dispose();
      await clip.dispose();
    }
  }

  /** undefined when the signal stopped it */
  private async measure(
    run: RunState,
    drawing: Drawing,
    weights: WeightSet,
    clip: FeatureExtractor,
    metrics: readonly Metric[],
  ): Promise<Score[] | undefined> {
    const { prompts, request } = drawing,
      steps = prompts.length * request.steps,
      seen: Seen[] = [];
    const subject = await this.instances(run),
      count = Math.min(MOST_INSTANCES, subject.length),
      instances = await pictureFeatures(subject, clip, count);
    const shared = { reference: [], instances, subject: await subjectRows(subject, metrics, count) };
    const bar = track(this.log, {
      what: 'pictures measured',
      total: prompts.length * this.seeds.length,
      each: request.steps,
    });
    try {
      for (const [k, seed] of this.seeds.entries()) {
        const one = await observe(
          seed,
          { ...drawing, request: { ...request, weights } },
          {
            draw: (wanted) => run.draw(wanted),
            metrics,
            features: clip,
            signal: run.signal,
            onStep: (done) => bar.update(k * steps + done),
          },
        );
        if (!one) return undefined;
        seen.push(one);
      }
    } finally {
      bar.stop();
    }
    return summarise(metrics, seen, shared, 'seeds');
  }

  private async instances(run: RunState): Promise<PictureSet> {
    const { instances } = this.opts;
    return instances === undefined
      ? fromSamples(run.dataset)
      : this.open(run, instances as string | object, 'EvaluationHook.instances');
  }

  private open(run: RunState, source: string | object, where: string): Promise<PictureSet> {
    const { log, cacheDir } = this;
    return openPictures(source, where, this.build, {
      logger: log,
      cacheDir,
      seed: run.rng.seed,
      resolveDataset: (id) => resolveDataset(id, { log }),
    });
  }

  private tell({ emit, iter }: RunState, when: 'before' | 'during' | 'after', scores: readonly Scored[]): void {
    emit({
      kind: 'evaluation',
      iter,
      when,
      scores: scores.map(({ name, better, value, halfWidth }) => ({ name, better, value, halfWidth })),
    });
  }

  private async write(run: RunState, found: RunEvaluation): Promise<void> {
    this.found = found;
    await run.workDir.write(EVALUATION_FILE, `${JSON.stringify(found, null, 2)}\n`);
  }
}

const fingerprintOf = (settings: unknown): string =>
  createHash('sha256').update(JSON.stringify(settings)).digest('hex').slice(0, 16);

/** A subject has a few pictures; of a large training set, the first ones. */
const MOST_INSTANCES = 100;

/** Options of a VisualizationHook that are used here. */
interface Preview {
  readonly type: string;
  readonly prompt: string | readonly string[];
  readonly negative_prompt: string | readonly string[];
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly guidance_rescale: number;
  readonly height: number;
  readonly width: number;
  readonly scheduler?: string;
}

declare module '../registry/kinds.js' {
  interface HookMap {
    EvaluationHook: typeof EvaluationHook;
  }
}
