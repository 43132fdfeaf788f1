import { existsSync } from 'node:fs';
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

async function trainCommand(nameOrPath: string, options: TrainCommandOptions): Promise<void> {
  const { loadComponents, loadCustomImports } = await import('../../src/components.js');
  const { loadConfig } = await import('../../src/registry/load-config.js');
  const { validateConfig } = await import('../../src/registry/validate.js');
  const { backendType } = await import('../../src/engine/build-backend.js');
  const { train } = await import('../../src/engine/train.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { Interrupted } = await import('../../src/base/errors.js');

  await loadComponents(); // first: options say what they take
  const {
    name,
    file,
    config: merged,
  } = await loadConfig(nameOrPath, [
    ...(options.cfgOptions ?? []),
    ...(options.seed === undefined ? [] : [`randomness.seed=${options.seed}`]),
  ]);
  const imports = await loadCustomImports(merged, file); // absolute, for the copy in the work dir
  const backend = options.backend === undefined ? {} : { backend: { type: backendType(options.backend) } };
  const config = validateConfig({ ...merged, ...backend, custom_imports: imports });
  const workDir = options.workDir ?? String(config['work_dir'] ?? join('work_dirs', name));
  const log = new ConsoleLogger({ debug: options.debug ?? false });
  try {
    const { checkpoint } = await train({ config, workDir, resume: options.resume, log });
    if (checkpoint !== undefined) for (const line of summary(checkpoint, config)) log.info(line);
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    log.info(error.message); // not a failure to explain: the exit code is that of the signal
  }
}

/** Where the result is, and how to look at it. */
function summary(checkpoint: string, config: Readonly<Record<string, unknown>>): string[] {
  const folder = relative('.', checkpoint) || '.';
  const adapter = join(folder, 'unet', 'adapter_model.safetensors');
  const prompt = firstPrompt(config) ?? 'your prompt';
  return [
    `done: ${existsSync(adapter) ? adapter : folder}`,
    ...(existsSync(join(folder, 'unet')) || existsSync(join(folder, 'text_encoder'))
      ? [`render: npx diffengine demo_lora ${JSON.stringify(prompt)} ${folder}`]
      : []),
  ];
}

/** A prompt of the config's validation pictures. */
function firstPrompt(config: Readonly<Record<string, unknown>>): string | undefined {
  const hooks = Object.values({ ...(config['default_hooks'] as object), ...(config['custom_hooks'] as object) }) as ({
    prompt?: string | string[];
  } | null)[];
  return hooks.flatMap((hook) => hook?.prompt ?? [])[0];
}
