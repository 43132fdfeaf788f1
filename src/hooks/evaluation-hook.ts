import { isDeepStrictEqual } from 'node:util';
import { inject } from 'inversify';
import { fromSamples, openPictures, readPrompts, type PictureSet } from '../evaluation/pictures.js';
import {
  observe,
  pictureFeatures,
  repeated,
  summarise,
  withoutTokens,
  type Drawing,
  type Score,
  type Seen,
} from '../evaluation/observe.js';
import { previewOf } from '../evaluation/settings.js';
import { fromFirst } from '../collectives/collectives.js';
import type { RunState } from '../engine/run-state.js';
import { UserError } from '../base/errors.js';
import { startProgress, type Logger } from '../base/logger.js';
import { type FeatureExtractor, type Metric, METRICS } from '../evaluation/metrics/metric.js';
import { ClipFeatures } from '../sampling/clip-features.js';
import type { WeightSet } from '../sampling/sample-request.js';
import { resolveDataset } from '../formats/hub/hub.js';
import { resolvePackagePath } from '../base/package-path.js';
import { HOOKS, Hook, type DrawnBy, type PlannedRun } from '../engine/hook.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, CACHE_DIR, LOGGER, OPTIONS, type Build } from '../registry/tokens.js';
import { validateComponent } from '../registry/validate.js';
import { PICTURE_SIDE } from '../registry/picture-side.js';
import { EVALUATION_FILE, readEvaluation, valueText, type RunEvaluation } from './report/score-table.js';

@HOOKS.register()
export class EvaluationHook extends Hook {
  static readonly options = {
    description:
      'Measures the untrained model and the trained one: how well pictures show the subject (CLIP-I) and the prompt (CLIP-T).',
    type: 'object',
    additionalProperties: false,
    required: ['clip'],
    properties: {
      clip: { type: 'string', description: "folder of a CLIP checkpoint in transformers' format" },
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
      scheduler: { type: 'string', description: 'sampler, such as DDIMScheduler' },
    },
  } as const satisfies OptionsSchema;
  /** After CheckpointHook, which default_hooks hold, and before ReportHook. */
  override readonly priority = 'VERY_LOW';
  override readonly ranks = 'all';
  private found: RunEvaluation | undefined;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof EvaluationHook.options>,
    @inject(BUILD) private readonly build: Build,
    @inject(CACHE_DIR) private readonly cacheDir: string,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async plan(run: PlannedRun): Promise<void> {
    const { prompts, request } = await this.drawing(run.config),
      seeds = prompts.map((_, k) => k);
    await run.draws({ ...request, prompts, seeds, weights: 'base' }, this.opts.seeds);
    await run.draws({ ...request, prompts, seeds, weights: run.weights }, this.opts.seeds);
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
      if (run.iter > 0 && old && isDeepStrictEqual(old.settings, JSON.parse(JSON.stringify(settings)))) {
        await this.write(run, { settings: old.settings, before: old.before });
        return;
      }
      const before = await this.measure(run, drawing, 'base', clip, metrics);
      if (!before) return;
      await this.write(run, { settings, before });
      this.tell(run, 'before', before);
    });
  }

  override async afterTrain(run: RunState): Promise<void> {
    const { found } = this;
    if (!found || run.signal.aborted) return;
    const drawing = await this.drawing(run.config);
    const after = await this.withClip(run, (clip, metrics) => this.measure(run, drawing, run.weights, clip, metrics));
    if (!after) return;
    await this.write(run, { ...found, after });
    this.tell(run, 'after', after);
    this.log.info(found.before.map((b, i) => `${b.name} ${valueText(b)} -> ${valueText(after[i])}`).join(', '));
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
    const { negative_prompt, num_inference_steps, guidance_scale, height, width, scheduler } = this.opts;
    const own = Object.fromEntries(
      Object.entries({ negative_prompt, num_inference_steps, guidance_scale, height, width, scheduler }).filter(
        ([, value]) => value !== undefined,
      ),
    );
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
      prompts = opts.prompts ?? [preview?.prompt ?? []].flat();
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
      for (const metric of metrics) await metric.prepare();
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
      instances = await pictureFeatures(subject, clip, Math.min(MOST_INSTANCES, subject.length));
    const shared = { reference: [], instances };
    const bar = startProgress(this.log, steps * this.seeds.length);
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
            onStep: (done) => bar?.update(k * steps + done, 'pictures to measure'),
          },
        );
        if (!one) return undefined;
        seen.push(one);
      }
    } finally {
      bar?.stop();
    }
    return summarise(metrics, seen, shared, 'seeds');
  }

  private async instances(run: RunState): Promise<PictureSet> {
    const {
      opts: { instances },
      log,
      cacheDir,
    } = this;
    if (instances === undefined) return fromSamples(run.dataset);
    return openPictures(instances as string | object, 'EvaluationHook.instances', this.build, {
      logger: log,
      cacheDir,
      seed: run.rng.seed,
      resolveDataset: (id) => resolveDataset(id, { log }),
    });
  }

  private tell({ emit, iter }: RunState, when: 'before' | 'after', scores: readonly Score[]): void {
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

/** A subject has a few pictures; of a large training set, the first ones. */
const MOST_INSTANCES = 100;

/** Options of a VisualizationHook that are used here. */
interface Preview {
  readonly type: string;
  readonly prompt: string | readonly string[];
  readonly negative_prompt: string | readonly string[];
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly height: number;
  readonly width: number;
  readonly scheduler?: string;
}

declare module '../registry/kinds.js' {
  interface HookMap {
    EvaluationHook: typeof EvaluationHook;
  }
}
