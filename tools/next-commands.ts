/** What a finished run made, and the commands that one wants next. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { shellWord } from '../src/base/shell-word.js';

export interface Finished {
  /** what was trained, as it was given */
  readonly config: string;
  /** options that a longer run needs again, as they were given */
  readonly options: readonly string[];
  readonly cfgOptions: readonly string[];
  /** absolute */
  readonly workDir: string;
  readonly checkpoint: string | undefined;
  readonly best: string | undefined;
}

type Tree = Readonly<Record<string, unknown>>;

/** Lines to show. */
export async function nextCommands(run: Finished): Promise<string[]> {
  const { checkpoint, best } = run;
  if (checkpoint === undefined) return [];
  const { config } = JSON.parse(await readFile(join(checkpoint, 'run.json'), 'utf8')) as { config: Tree };
  const folder = near(checkpoint),
    adapter = join(folder, 'unet', 'adapter_model.safetensors');
  const used = best === undefined ? folder : near(best);
  return [
    `done: ${existsSync(adapter) ? adapter : folder}`,
    ...(best === undefined ? [] : [`best: ${used}`]),
    'next:',
    ...(['unet', 'text_encoder'].some((part) => existsSync(join(checkpoint, part)))
      ? [...drawing(config, used), ...exporting(config, used, existsSync(adapter))]
      : []),
    longer(run, config),
  ].map((line) => (line.startsWith('npx') ? `  ${line}` : line));
}

const near = (path: string): string => relative('.', path) || '.';

/** A prompt that the run did not draw itself, with the settings that it drew with. */
function drawing(config: Tree, folder: string): string[] {
  const dataset = ((config['train_dataloader'] as Tree)['dataset'] ?? {}) as Tree,
    preview = hooks(config).find(({ type }) => type === 'VisualizationHook') ?? trainedSize(dataset);
  const prompt = dataset['instance_prompt'] ?? [preview['prompt'] ?? []].flat()[0] ?? 'a photo of a dog';
  const flags = Object.entries(FLAGS).flatMap(([option, flag]) =>
    preview[option] === undefined ? [] : [flag, String(preview[option])],
  );
  return [command(['demo_lora', `${String(prompt)} on the beach`, folder, ...flags, '--out', 'beach.png'])];
}

/** Without a preview: as large as the pictures it learnt from, which may be far smaller than those of its base. */
function trainedSize({ pipeline }: Tree): Tree {
  const steps = Array.isArray(pipeline) ? (pipeline as Tree[]) : [],
    side = steps.findLast(({ size }) => typeof size === 'number')?.['size'];
  return side === undefined ? {} : { height: side, width: side };
}

const FLAGS = {
  num_inference_steps: '--steps',
  guidance_scale: '--guidance',
  guidance_rescale: '--guidance-rescale',
  scheduler: '--scheduler',
  height: '--height',
  width: '--width',
} as const;

function exporting(config: Tree, folder: string, isAdapter: boolean): string[] {
  const { model } = config['model'] as { model?: string };
  if (!isAdapter) return [command(['export-pipeline', folder, '--out', 'trained-model'])];
  return [command(['export-lora', String(model), folder, '--format', 'kohya', '--out', 'adapter.safetensors'])];
}

function longer({ config: name, options, cfgOptions }: Finished, config: Tree): string {
  const { max_iters } = config['train_cfg'] as { max_iters: number };
  const rest = cfgOptions.filter((option) => !option.startsWith('train_cfg.max_iters='));
  return command([
    'train',
    name,
    ...options,
    '--resume',
    '--cfg-options',
    ...rest,
    `train_cfg.max_iters=${2 * max_iters}`,
  ]);
}

const hooks = (config: Tree): Tree[] =>
  ['default_hooks', 'custom_hooks'].flatMap((group) =>
    Object.values((config[group] ?? {}) as object).filter((hook): hook is Tree => hook !== null),
  );

const command = (words: readonly string[]): string => ['npx diffengine', ...words.map(shellWord)].join(' ');
