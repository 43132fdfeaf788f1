import { join } from 'node:path';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { GUIDANCE_RESCALE_TEXT, number, pictureSide, share, whole } from '../demo-options.js';

interface EvalOptions {
  readonly config?: string;
  readonly pictures?: string;
  readonly base?: boolean;
  readonly sdmodel?: string;
  readonly clip?: string;
  readonly prompts?: string;
  readonly dropTokens?: readonly string[];
  readonly reference?: string;
  readonly instances?: string;
  readonly metrics?: readonly string[];
  readonly numImages?: number;
  readonly seeds?: number | readonly number[];
  readonly interval?: 'seeds' | 'bootstrap';
  readonly steps?: number;
  readonly guidance?: number;
  readonly guidanceRescale?: number;
  readonly height?: number;
  readonly width?: number;
  readonly scheduler?: string;
  readonly negativePrompt?: string;
  readonly latency: boolean;
  readonly savePictures?: boolean;
  readonly out?: string;
  readonly backend?: string;
  readonly cfgOptions?: readonly string[];
  readonly debug?: boolean;
}

export function register(program: Command): void {
  program
    .command('eval')
    .description(
      'measure what a model draws: FD, CMMD, CLIP-T, CLIP-I, with intervals; and its size, arithmetic and speed',
    )
    .argument(
      '[model]',
      'pipeline folder or hub id; checkpoint, work dir or adapter; or a config, whose last checkpoint is meant',
    )
    .option('--pictures <folder>', 'measure these pictures instead of a model; split over the seeds')
    .option(
      '--config <config>',
      'take val_cfg, val_evaluator and val_dataloader of this config (default: those that the model was trained with)',
    )
    .option('--base', 'the model before training')
    .option('--sdmodel <model>', 'pipeline that an adapter is for (default: the one recorded with it)')
    .option('--clip <folder>', "CLIP that looks at pictures, in transformers' format")
    .option(
      '--prompts <file>',
      "what to draw: .txt, one per line, or .csv (default: the reference's texts, or the prompts of the run's preview)",
    )
    .option('--drop-tokens <words...>', 'words that CLIP is not shown (default: sks)')
    .option('--reference <folder>', 'pictures as they should be, for FD and CMMD')
    .option('--instances <folder>', 'pictures of one subject, for CLIP-I (default: those of a DreamBooth run)')
    .option(
      '--metrics <names...>',
      'such as FrechetDistance ClipMMD ClipScore ClipImageScore (default: all that the given pictures allow)',
    )
    .option('--num-images <n>', 'pictures per seed (default: one per prompt)', whole(1))
    .option('--seeds <list>', 'how many, or which: 3, or 4,7,11 (default: 3)', seedList)
    .addOption(
      new Option('--interval <over>', 'what the 95 % intervals are over (default: seeds)').choices([
        'seeds',
        'bootstrap',
      ]),
    )
    .option('--steps <n>', 'denoising steps (default: 50)', whole(1))
    .option('--guidance <x>', 'classifier-free guidance (default: 7.5)', number)
    .option('--guidance-rescale <x>', `${GUIDANCE_RESCALE_TEXT} (default: 0)`, share)
    .option('--height <px>', "a multiple of 8 (default: the model's own)", pictureSide)
    .option('--width <px>', "a multiple of 8 (default: the model's own)", pictureSide)
    .option('--scheduler <name>', "sampler, such as DDIMScheduler (default: the model's own)")
    .option('--negative-prompt <text>', 'what should not be in the pictures')
    .option('--no-latency', 'skip timing')
    .option('--save-pictures', 'write every picture, beside a sheet of the first ones per seed')
    .option('--out <folder>', 'where eval.json and the sheets go (default: work_dirs/eval/<model>)')
    .option('--backend <name>', 'what computes: onnxruntime, tfjs, or another component of BACKENDS')
    .option('--cfg-options <key=value...>', 'replace single values of the config: text as it stands, the rest as YAML')
    .option('--debug', 'more log lines, and stack traces of errors')
    .addHelpText(
      'after',
      `
Examples:
  diffengine eval segmind/small-sd --clip ./clip-vit-base-patch32 --prompts prompts.txt --reference ./photos
  diffengine eval work_dirs/my_run --clip ./clip-vit-base-patch32 --prompts prompts.txt --instances ./my-dog --drop-tokens sks
  diffengine eval my_config.ts --base --seeds 5 --interval bootstrap
  diffengine eval ./my-small-sd --config my_config.ts --metrics ClipScore --no-latency --out results
  diffengine eval --pictures ./drawn --reference ./photos --clip ./clip-vit-base-patch32

--pictures, --reference and --instances also take a dataset as YAML: '{ type: ImageFolderDataset, dataset: ./photos, pipeline: [...] }'.
--metrics takes metrics with options: '{ type: DinoScore, model: ./dino-vits16 }'.

Equal arguments give equal numbers; only the latency differs.`,
    )
    .action(evalCommand);
}

async function evalCommand(model: string | undefined, options: EvalOptions): Promise<void> {
  const { evaluate } = await import('../../src/library/evaluate.js');
  const { evaluationText } = await import('../../src/evaluation/evaluation-text.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { UserError } = await import('../../src/base/errors.js');
  const { interruptible } = await import('../interrupt.js');
  const { parseYaml } = await import('../../src/registry/yaml.js');

  const { pictures, sdmodel, cfgOptions, guidance, reference, instances, metrics, debug = false, ...rest } = options;
  if ((model === undefined) === (pictures === undefined))
    throw new UserError(
      `eval: ${model === undefined ? 'nothing to measure' : 'a model and --pictures'}; give one of them: a model, or --pictures (see --help)`,
    );
  const source = (text: string): string | object =>
      text.startsWith('{')
        ? (parseYaml(text, () => `${text}: not YAML`, 'write { type: ..., ... }, or a folder or a name')
            .value as object)
        : text,
    optional = (text: string | undefined) => (text === undefined ? undefined : source(text));
  const log = new ConsoleLogger({ debug });
  await interruptible(
    log,
    async (signal) => {
      const result = await evaluate(model ?? { pictures: source(pictures!) }, {
        ...rest,
        baseModel: sdmodel,
        options: cfgOptions,
        guidanceScale: guidance,
        reference: optional(reference),
        instances: optional(instances),
        metrics: metrics?.map(source),
        log,
        signal,
      });
      log.info(`${evaluationText(result)}\n\nwrote ${join(result.folder!, 'eval.json')}`);
    },
    'stopping after this step, without results; once more ends the run now',
  );
}

/** "3" is a number of seeds, "4,7" are seeds. */
function seedList(text: string): number | number[] {
  if (!text.includes(',')) return whole(1)(text);
  const seeds = text.split(',').map(whole(0));
  if (new Set(seeds).size < seeds.length) throw new InvalidArgumentError('a seed is there twice.');
  return seeds;
}
