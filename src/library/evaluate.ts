import { join } from 'node:path';
import { loadComponents, loadCustomImports } from '../components.js';
import { runEvaluation, type Evaluation, type EvaluationConfig } from '../evaluation/evaluation-run.js';
import { evaluationOf, present } from '../evaluation/settings.js';
import { findSettings, findTarget } from '../evaluation/target.js';
import type { DrawOptions } from '../sampling/draw-options.js';
import { validateEvaluation } from '../registry/validate.js';
import { UserError } from '../base/errors.js';
import { COMPONENT, FLAG, logOf, optionsOf, signalOf, TEXT, type CallOptions } from './call-options.js';
import { backendConfig, CONFIG_OPTIONS, type ConfigOptions } from './open-config.js';

/** How its pictures are drawn. */
type Drawn = Pick<
  DrawOptions,
  'steps' | 'guidanceScale' | 'guidanceRescale' | 'height' | 'width' | 'scheduler' | 'negativePrompt'
>;

/** What is not given is taken from the config that the model was trained with, or from `config`. */
export interface EvaluateOptions extends CallOptions, ConfigOptions, Drawn {
  /** Take val_cfg, val_evaluator and val_dataloader of this config: a file, or the name of a built-in one. */
  readonly config?: string | undefined;
  /** Measure the model before training. */
  readonly base?: boolean | undefined;
  /** Pipeline that an adapter is for, a folder or an id of the hub. Default: the one recorded with it. */
  readonly baseModel?: string | undefined;
  /** Folder of the CLIP that looks at pictures, in transformers' format. */
  readonly clip?: string | undefined;
  /** What to draw: a list, or a file, .txt with one per line or .csv. */
  readonly prompts?: string | readonly string[] | undefined;
  /** Words that CLIP is not shown. Default ['sks']. */
  readonly dropTokens?: readonly string[] | undefined;
  /** Pictures as they should be, for FD and CMMD: a folder, or a dataset's config. */
  readonly reference?: string | object | undefined;
  /** Pictures of one subject, for CLIP-I: a folder, or a dataset's config. */
  readonly instances?: string | object | undefined;
  /** Names, or `{ type, ...options }`. Default: all that the given pictures allow. */
  readonly metrics?: readonly (string | object)[] | undefined;
  /** Pictures per seed. Default: one per prompt. */
  readonly numImages?: number | undefined;
  /** How many seeds, or which. Default 3. */
  readonly seeds?: number | readonly number[] | undefined;
  /** What the 95 % intervals are over. Default 'seeds'. */
  readonly interval?: 'seeds' | 'bootstrap' | undefined;
  /** Time single steps. Default true. */
  readonly latency?: boolean | undefined;
  /** Write every picture, beside a sheet of the first ones per seed. Default false. */
  readonly savePictures?: boolean | undefined;
  /** Where eval.json and the sheets go; null writes nothing. Default `work_dirs/eval/<model>`. */
  readonly out?: string | null | undefined;
}

/** Scores with intervals; size, arithmetic and speed of the model; and what was asked. */
export type EvaluationResult = Evaluation & {
  /** folder of eval.json and the sheets; undefined when nothing was written */
  readonly folder: string | undefined;
};

// Values are checked where those of a config are; here only what is meant for this function itself.
const ANY = {};
const check = optionsOf<EvaluateOptions>({
  ...CONFIG_OPTIONS,
  config: TEXT,
  base: FLAG,
  baseModel: TEXT,
  clip: TEXT,
  prompts: { type: ['string', 'array'] },
  dropTokens: ANY,
  reference: COMPONENT,
  instances: COMPONENT,
  metrics: { type: 'array', items: COMPONENT },
  numImages: ANY,
  seeds: ANY,
  interval: ANY,
  steps: ANY,
  guidanceScale: ANY,
  guidanceRescale: ANY,
  height: ANY,
  width: ANY,
  scheduler: ANY,
  negativePrompt: ANY,
  latency: FLAG,
  savePictures: FLAG,
  out: { type: ['string', 'null'], minLength: 1 },
});

/**
 * Measures what a model draws, as `diffengine eval` does: FD, CMMD, CLIP-T, CLIP-I, with intervals.
 * @param what a pipeline folder or hub id; a checkpoint, work dir or adapter; a config, whose last checkpoint is meant;
 *   or `{ pictures }`: a folder or a dataset's config, to measure these in place of what a model draws
 * @throws UserError INVALID_INPUT, CONFIG_INVALID, FILE_NOT_FOUND, MODEL_MISMATCH, INTERRUPTED, ...
 */
export async function evaluate(
  what: string | { readonly pictures: string | object },
  options: EvaluateOptions = {},
): Promise<EvaluationResult> {
  check('evaluate', options);
  const cfgOptions = options.options ?? [];
  await loadComponents(); // first: options say what they take
  const pictures = typeof what === 'string' ? undefined : what.pictures;
  const { base = false, baseModel, config: given } = options;
  const target =
    typeof what === 'string'
      ? await findTarget(what, { base, sdmodel: baseModel, config: given, cfgOptions })
      : undefined;
  const settings = target ?? (await findSettings(given, cfgOptions));
  const imports = await loadCustomImports(settings.config, settings.configFile);
  const config = validateEvaluation({
    ...evaluationOf(settings.config, givenSettings(options)),
    custom_imports: imports,
  }) as unknown as EvaluationConfig;
  const folder =
    options.out === null ? undefined : (options.out ?? join('work_dirs', 'eval', target?.name ?? 'pictures'));
  if (options.savePictures && folder === undefined)
    throw new UserError('evaluate.savePictures: true, and out is null, so there is no folder for them; give out');
  const result = await runEvaluation({
    config,
    target,
    pictures,
    out: folder,
    latency: options.latency ?? true,
    savePictures: options.savePictures ?? false,
    log: logOf(options),
    signal: signalOf(options),
  });
  return { ...result, folder };
}

/** In the words of a config. */
function givenSettings(o: EvaluateOptions): Record<string, unknown> {
  return present({
    val_cfg: present({
      clip: o.clip,
      prompts: o.prompts,
      drop_tokens: o.dropTokens,
      instances: o.instances,
      num_images: o.numImages,
      seeds: o.seeds,
      interval: o.interval,
      num_inference_steps: o.steps,
      guidance_scale: o.guidanceScale,
      guidance_rescale: o.guidanceRescale,
      height: o.height,
      width: o.width,
      scheduler: o.scheduler,
      negative_prompt: o.negativePrompt,
    }),
    val_evaluator: o.metrics?.map((metric) => (typeof metric === 'string' ? { type: metric } : metric)),
    val_dataloader: o.reference === undefined ? undefined : { dataset: o.reference },
    backend: backendConfig(o.backend),
  });
}
