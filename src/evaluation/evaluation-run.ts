/** A whole evaluation from validated settings: opens what is needed, draws, measures, writes the results. */
import { join } from 'node:path';
import { writeFileAtomic } from '../base/atomic-file.js';
import { contactSheet, writePng } from '../datasets/image/picture-file.js';
import type { DatasetServices } from '../datasets/dataset.js';
import { Interrupted, stopIfAborted, UserError } from '../base/errors.js';
import { type Logger } from '../base/logger.js';
import { track } from '../base/progress.js';
import { outputPlace } from '../base/output-place.js';
import { type FeatureExtractor, type Metric, type Rows, METRICS } from './metrics/metric.js';
import { ClipFeatures } from '../sampling/clip-features.js';
import { defaultCacheDir } from '../base/cache-dir.js';
import { resolveDataset } from '../formats/hub/hub.js';
import { type Backend, BACKEND } from '../backends/backend.js';
import { createBuild } from '../registry/container.js';
import { resolvePackagePath } from '../base/package-path.js';
import { CACHE_DIR, LOGGER, type Build } from '../registry/tokens.js';
import type { HostTensor } from '../tensor/host.js';
import { buildBackend } from '../engine/build-backend.js';
import type { Latency, ModelCost, PictureSize } from './cost.js';
import { drawnGallery, givenGallery, type Gallery, type ModelRecord } from './gallery.js';
import { openPictures, readPrompts, type PictureSet } from './pictures.js';
import type { Target } from './target.js';
import {
  MOST_PICTURES,
  observe,
  pictureFeatures,
  repeated,
  subjectRows,
  summarise,
  withoutTokens,
  type Score,
  type Seen,
  type Shared,
} from './observe.js';
import { packageVersion } from '../base/version.js';

/** After `validateEvaluation`. */
export interface EvaluationConfig {
  readonly val_dataloader?: { readonly dataset: string | object };
  readonly val_evaluator?: readonly { readonly type: string }[];
  readonly val_cfg: {
    readonly clip?: string;
    readonly prompts?: string | readonly string[];
    readonly drop_tokens: readonly string[];
    readonly instances?: string | object;
    readonly num_images?: number;
    readonly seeds: number | readonly number[];
    readonly interval: 'seeds' | 'bootstrap';
    readonly num_inference_steps: number;
    readonly guidance_scale: number;
    readonly guidance_rescale: number;
    readonly negative_prompt: string;
    readonly height?: number;
    readonly width?: number;
    readonly scheduler?: string;
  };
  readonly backend?: object;
  readonly cache_dir?: string;
}

export interface EvaluationOptions {
  readonly config: EvaluationConfig;
  /** what draws; undefined with `pictures` */
  readonly target: Pick<Target, 'model' | 'trained'> | undefined;
  /** measured in place of what a model draws: a folder, or a dataset's config */
  readonly pictures?: string | object | undefined;
  /** undefined: nothing is written */
  readonly out: string | undefined;
  /** time single steps */
  readonly latency: boolean;
  /** write every picture, not the sheets alone */
  readonly savePictures: boolean;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** What `eval.json` holds. */
export interface Evaluation {
  readonly diffengine: string;
  /** null, as its cost, for pictures that no model here drew */
  readonly model: ModelRecord | null;
  readonly clip: { readonly folder: string; readonly fingerprint: string } | null;
  readonly config: EvaluationConfig;
  readonly seeds: readonly number[];
  readonly size: PictureSize;
  readonly pictures: { readonly generated_per_seed: number; readonly reference: number; readonly instances: number };
  readonly scores: readonly {
    readonly name: string;
    readonly better: Score['better'];
    readonly value: number;
    readonly half_width_95: number | null;
    readonly per_seed: readonly number[];
  }[];
  readonly cost: ModelCost | null;
  readonly latency: Latency | null;
  /** of the first seed; with a model, of all */
  readonly prompts: readonly string[];
}

/**
 * Writes `eval.json` and a contact sheet per seed into `out`.
 * @throws Interrupted after the signal; UserError for what the user can mend
 */
export async function runEvaluation(options: EvaluationOptions): Promise<Evaluation> {
  const { config, log } = options;
  stopIfAborted(options.signal, 'evaluate');
  const cacheDir = config.cache_dir ?? defaultCacheDir(),
    backend = buildBackend(config.backend, log, cacheDir);
  try {
    const build = createBuild([
      [LOGGER, log],
      [BACKEND, backend],
      [CACHE_DIR, cacheDir],
    ]);
    const services = {
      logger: log,
      cacheDir,
      seed: 0,
      resolveDataset: (idOrPath: string) => resolveDataset(idOrPath, { log }),
    };
    return await new EvaluationRun(options, build, services).run(backend);
  } catch (error) {
    throw writable(error, options.out);
  } finally {
    await backend.dispose();
  }
}

/** What the file system refused, in words; anything else unchanged. */
function writable(error: unknown, out = ''): unknown {
  const { code, path } = error as NodeJS.ErrnoException;
  if (!['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EPERM', 'ENOTDIR', 'EEXIST'].includes(code ?? '')) return error;
  return new UserError(
    `${path ?? out}: cannot be written (${code}); free some space, or choose another place with --out`,
    { cause: error },
  );
}

/** Pictures on a contact sheet. */
const ON_SHEET = 64;

/** What there is to compare with. */
interface Given {
  readonly reference: boolean;
  readonly instances: boolean;
  readonly texts: boolean;
}

const SUBJECT = 'pictures of the subject, and none are given; set val_cfg.instances, or give --instances';
/** What a metric misses, and how to give it. */
const LACKING = {
  reference: 'reference pictures, and none are given; set val_dataloader.dataset, or give --reference',
  instances: SUBJECT,
  subject: SUBJECT,
  texts: 'the texts of pictures, and a folder has none; give a dataset that has texts, or leave this metric out',
} as const;

class EvaluationRun {
  constructor(
    private readonly options: EvaluationOptions,
    private readonly build: Build,
    private readonly services: DatasetServices,
  ) {}

  async run(backend: Backend): Promise<Evaluation> {
    const { config, out } = this.options,
      { val_cfg: cfg } = config,
      open: { dispose(): Promise<void> }[] = [];
    const opened = <T extends { dispose(): Promise<void> }>(what: T): T => (open.push(what), what);
    if (out !== undefined) await outputPlace(join(out, 'eval.json')); // before hours of work
    try {
      const pictures = await this.open(this.options.pictures, '--pictures');
      const metrics = this.metrics({
        reference: config.val_dataloader !== undefined,
        instances: cfg.instances !== undefined,
        texts: !pictures || pictures.text !== undefined,
      }).map(opened);
      const needs = new Set(metrics.flatMap((metric) => metric.needs)),
        givesPrompts = !pictures && cfg.prompts === undefined;
      const reference =
        needs.has('reference') || givesPrompts
          ? await this.open(config.val_dataloader?.dataset, 'val_dataloader.dataset')
          : undefined;
      const instances =
        needs.has('instances') || needs.has('subject')
          ? await this.open(cfg.instances, 'val_cfg.instances')
          : undefined;
      const looks = (metric: Metric): boolean => metric.needs.some((need) => need !== 'subject');
      const clip = metrics.some(looks) ? opened(await this.clip(metrics, backend)) : undefined;
      const seeds = typeof cfg.seeds === 'number' ? Array.from({ length: cfg.seeds }, (_, i) => i) : cfg.seeds;
      const gallery = opened(
        pictures ? await givenGallery(pictures, seeds.length, cfg.num_images) : await this.drawn(reference, backend),
      );
      for (const metric of metrics) await metric.prepare((source, where) => this.opened(source, where));
      const shared: Shared = {
        reference:
          needs.has('reference') && reference && clip ? await this.features(reference, clip, 'reference pictures') : [],
        instances:
          needs.has('instances') && instances && clip
            ? await this.features(instances, clip, 'pictures of the subject')
            : [],
        ...(instances && { subject: await subjectRows(instances, metrics) }),
      };
      const seen = await this.observeAll(seeds, gallery, metrics, clip),
        scores = summarise(metrics, seen, shared, cfg.interval);
      const timed = this.options.latency ? await gallery.latency(this.options.signal) : null;
      this.stopIfAsked();
      const result: Evaluation = {
        diffengine: packageVersion,
        model: gallery.model,
        clip: clip && cfg.clip !== undefined ? { folder: cfg.clip, fingerprint: clip.fingerprint } : null,
        config,
        seeds,
        size: gallery.size,
        pictures: {
          generated_per_seed: gallery.count,
          reference: shared.reference.length,
          instances: instances?.length ?? 0,
        },
        scores: scores.map(({ name, better, value, halfWidth, perSeed }) => ({
          name,
          better,
          value,
          half_width_95: halfWidth ?? null,
          per_seed: perSeed,
        })),
        cost: gallery.cost,
        latency: timed,
        prompts: (await gallery.part(0)).drawing.prompts,
      };
      if (out !== undefined) await writeFileAtomic(join(out, 'eval.json'), `${JSON.stringify(result, null, 2)}\n`);
      return result;
    } finally {
      for (const what of open.reverse()) await what.dispose();
    }
  }

  private async open(source: string | object | undefined, where: string): Promise<PictureSet | undefined> {
    return source === undefined ? undefined : this.opened(source, where);
  }

  private opened(source: string | object, where: string): Promise<PictureSet> {
    return openPictures(source, where, this.build, this.services);
  }

  /** Those of the config, or all that the pictures allow. @throws UserError when one needs pictures that are not given */
  private metrics(given: Given): Metric[] {
    const { val_evaluator: asked } = this.options.config;
    const possible = [
      ...(given.texts ? ['ClipScore'] : []),
      ...(given.reference ? ['FrechetDistance', 'ClipMMD'] : []),
      ...(given.instances ? ['ClipImageScore'] : []),
    ];
    return (asked ?? possible.map((type) => ({ type }))).map((one) => {
      const metric = this.build(METRICS, one);
      const all = { ...given, subject: given.instances };
      const lacking = (['reference', 'instances', 'subject', 'texts'] as const).find(
        (what) => metric.needs.includes(what) && !all[what],
      );
      if (lacking) throw new UserError(`${one.type}: compares with ${LACKING[lacking]}`);
      return metric;
    });
  }

  private async clip(metrics: readonly Metric[], backend: Backend): Promise<ClipFeatures> {
    const { clip } = this.options.config.val_cfg;
    if (clip === undefined)
      throw new UserError(
        `${metrics.find(({ needs }) => needs.some((need) => need !== 'subject'))?.constructor.name}: looks through a CLIP, and none is given; set val_cfg.clip, or give --clip, a folder in transformers' format`,
      );
    return ClipFeatures.open(resolvePackagePath(clip), backend, this.options.log);
  }

  private async drawn(reference: PictureSet | undefined, backend: Backend): Promise<Gallery> {
    const {
      config: { val_cfg: cfg },
      target,
      log,
    } = this.options;
    if (!target) throw new UserError('eval: no model; give a pipeline, a checkpoint or a config, or --pictures');
    const settings = {
      steps: cfg.num_inference_steps,
      guidance_scale: cfg.guidance_scale,
      guidance_rescale: cfg.guidance_rescale,
      negative_prompt: cfg.negative_prompt,
      height: cfg.height,
      width: cfg.width,
      ...(cfg.scheduler === undefined ? {} : { scheduler: cfg.scheduler }),
    };
    return drawnGallery(target, await this.prompts(reference), settings, backend, log);
  }

  /** One per picture: given ones, else the texts of the reference; from the start again where there are too few. */
  private async prompts(reference: PictureSet | undefined): Promise<string[]> {
    const { prompts: given, num_images: wanted } = this.options.config.val_cfg;
    if (wanted !== undefined && wanted > MOST_PICTURES)
      throw new UserError(`val_cfg.num_images: ${wanted} pictures per seed; at most ${MOST_PICTURES}`);
    if (given !== undefined) {
      const list = await readPrompts(given);
      return repeated(list, wanted ?? list.length);
    }
    if (!reference?.text)
      throw new UserError(
        'prompts: none are given, and there is no reference dataset with texts; set val_cfg.prompts, or give --prompts, a .txt with one per line or a .csv',
      );
    const texts: string[] = [];
    for (let i = 0; i < Math.min(wanted ?? reference.length, reference.length); i++)
      texts.push(await reference.text(i));
    return repeated(texts, wanted ?? texts.length);
  }

  private async features(set: PictureSet, clip: FeatureExtractor, what: string): Promise<Rows> {
    const bar = track(this.options.log, { what, total: set.length });
    try {
      return await pictureFeatures(set, clip, set.length, (done) => {
        this.stopIfAsked();
        bar.update(done);
      });
    } finally {
      bar.stop();
    }
  }

  private async observeAll(
    seeds: readonly number[],
    gallery: Gallery,
    metrics: readonly Metric[],
    features: FeatureExtractor | undefined,
  ): Promise<Seen[]> {
    const {
        log,
        out,
        savePictures,
        config: {
          val_cfg: { drop_tokens },
        },
      } = this.options,
      seen: Seen[] = [];
    const {
        drawing: { request },
      } = await gallery.part(0),
      steps = gallery.count * request.steps,
      bar = track(log, { what: 'pictures drawn', total: seeds.length * gallery.count, each: request.steps });
    try {
      for (const [k, seed] of seeds.entries()) {
        const shown: HostTensor[] = [],
          { drawing, draw } = await gallery.part(k);
        const found = await observe(
          seed,
          { ...drawing, texts: drawing.prompts.map((prompt) => withoutTokens(prompt, drop_tokens)) },
          {
            draw,
            metrics,
            features,
            signal: this.options.signal,
            onStep: (done) => bar.update(k * steps + done),
            onPicture: async (index, picture) => {
              if (shown.length < ON_SHEET) shown.push(picture);
              if (savePictures && out !== undefined) await writePng(join(out, `seed${seed}`, `${index}.png`), picture);
            },
          },
        );
        this.stopIfAsked();
        if (found) seen.push(found);
        if (out !== undefined) await writePng(join(out, `seed${seed}.png`), contactSheet(shown));
      }
    } finally {
      bar.stop();
    }
    return seen;
  }

  private stopIfAsked(): void {
    const { signal, out } = this.options;
    if (signal.aborted)
      throw new Interrupted(
        out === undefined ? 'stopped; no results' : `stopped; no results in ${out}. The same command starts again`,
        { cause: signal.reason },
      );
  }
}
