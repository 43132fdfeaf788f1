import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { Command } from 'commander';

interface TrainCommandOptions {
  readonly workDir?: string;
  readonly resume?: true | string;
  readonly cfgOptions?: readonly string[];
  readonly backend?: string;
  readonly seed?: string;
  readonly debug?: boolean;
}

export function register(program: Command): void {
  program
    .command('train')
    .description('train what a config describes')
    .argument('<config>', 'a config file (.ts, .js, .yaml), or the name of a built-in config (see list-cfg)')
    .option('--work-dir <folder>', 'where log, checkpoints and pictures go (default: work_dirs/<config name>)')
    .option('--resume [checkpoint]', "continue from the work dir's last checkpoint, or from this one")
    .option('--cfg-options <key=value...>', 'replace single values of the config: text as it stands, the rest as YAML')
    .option('--backend <name>', 'what computes: onnxruntime, tfjs, or another component of BACKENDS')
    .option('--seed <n>', 'where chance starts; equal seeds give equal runs')
    .option('--debug', 'more log lines, and stack traces of errors')
    .addHelpText(
      'after',
      `
Examples:
  diffengine train tiny_random_sd_dreambooth_lora_dog
  diffengine train my_config.ts --work-dir out --resume
  diffengine train small_sd_dreambooth_lora_dog --cfg-options model.model=./my-small-sd train_cfg.max_iters=500

Ctrl-C once saves a checkpoint and ends the run; twice ends it at once.`,
    )
    .action(trainCommand);
}

async function trainCommand(
  config: string,
  { workDir, resume, backend, ...options }: TrainCommandOptions,
): Promise<void> {
  const { train } = await import('../../src/library/train.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { interruptible } = await import('../interrupt.js');
  const cfgOptions = [
    ...(options.cfgOptions ?? []),
    ...(options.seed === undefined ? [] : [`randomness.seed=${options.seed}`]),
  ];
  const log = new ConsoleLogger({ debug: options.debug ?? false });
  await interruptible(log, async (signal) => {
    const { checkpoint } = await train(config, { workDir, resume, backend, options: cfgOptions, log, signal });
    if (checkpoint !== undefined) for (const line of await summary(checkpoint)) log.info(line);
  });
}

/** Where the result is, and how to look at it. */
async function summary(checkpoint: string): Promise<string[]> {
  const folder = relative('.', checkpoint) || '.';
  const adapter = join(folder, 'unet', 'adapter_model.safetensors');
  const { config } = JSON.parse(await readFile(join(checkpoint, 'run.json'), 'utf8')) as { config: Config };
  const prompt = firstPrompt(config) ?? 'your prompt';
  return [
    `done: ${existsSync(adapter) ? adapter : folder}`,
    ...(existsSync(join(folder, 'unet')) || existsSync(join(folder, 'text_encoder'))
      ? [`render: npx diffengine demo_lora ${JSON.stringify(prompt)} ${folder}`]
      : []),
  ];
}

type Config = Readonly<Record<string, unknown>>;

/** A prompt of the config's validation pictures. */
function firstPrompt(config: Config): string | undefined {
  const hooks = Object.values({ ...(config['default_hooks'] as object), ...(config['custom_hooks'] as object) }) as ({
    prompt?: string | string[];
  } | null)[];
  return hooks.flatMap((hook) => hook?.prompt ?? [])[0];
}
