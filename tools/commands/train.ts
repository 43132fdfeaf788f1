import type { Command } from 'commander';

interface TrainCommandOptions {
  readonly workDir?: string;
  readonly resume?: true | string;
  readonly cfgOptions?: readonly string[];
  readonly backend?: string;
  readonly seed?: string;
  readonly estimate: boolean;
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
    .option('--no-estimate', 'do not say first what the run will cost, which takes seconds')
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
  { workDir, resume, backend, estimate, ...options }: TrainCommandOptions,
): Promise<void> {
  const { train } = await import('../../src/library/train.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { interruptible } = await import('../interrupt.js');
  const { nextCommands } = await import('../next-commands.js');
  const cfgOptions = [
    ...(options.cfgOptions ?? []),
    ...(options.seed === undefined ? [] : [`randomness.seed=${options.seed}`]),
  ];
  const log = new ConsoleLogger({ debug: options.debug ?? false });
  await interruptible(log, async (signal) => {
    const result = await train(config, {
      workDir,
      resume,
      backend,
      estimate,
      options: cfgOptions,
      log,
      signal,
    });
    const given = { '--work-dir': workDir, '--backend': backend, '--seed': options.seed };
    const again = Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
    for (const line of await nextCommands({ ...result, config, options: again, cfgOptions: options.cfgOptions ?? [] }))
      log.info(line);
  });
}
