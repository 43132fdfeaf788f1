import { InvalidArgumentError, Option, type Command } from 'commander';
import type { Launcher } from '../../src/collectives/launchers.js';
import type { StopSignal } from '../interrupt.js';

interface TrainCommandOptions {
  readonly workDir?: string;
  readonly resume?: true | string;
  readonly cfgOptions?: readonly string[];
  readonly backend?: string;
  readonly seed?: string;
  readonly estimate: boolean;
  readonly gpus?: number;
  readonly launcher: Launcher;
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
    .option(
      '--gpus <n>',
      'ranks that train together, each with a device or a share of the cores (with --launcher mpi)',
      ranks,
    )
    .addOption(
      new Option('--launcher <name>', 'what starts the ranks: mpirun, which --gpus runs, or srun')
        .choices(['none', 'mpi', 'slurm', 'pytorch'] satisfies Launcher[])
        .default('none'),
    )
    .option('--debug', 'more log lines, and stack traces of errors')
    .addHelpText(
      'after',
      `
Examples:
  diffengine train tiny_random_sd_dreambooth_lora_dog
  diffengine train my_config.ts --work-dir out --resume
  diffengine train small_sd_dreambooth_lora_dog --cfg-options model.model=./my-small-sd train_cfg.max_iters=500
  diffengine train my_config.ts --gpus 2 --launcher mpi
  mpirun -n 4 --hostfile hosts --bind-to none npx diffengine train my_config.ts --launcher mpi
  srun --mpi=pmix npx diffengine train my_config.ts --launcher slurm

Ctrl-C, SIGTERM or SIGUSR1 once saves a checkpoint and ends the run; twice ends it at once.`,
    )
    .action(trainCommand);
}

async function trainCommand(
  config: string,
  { workDir, resume, backend, estimate, gpus, launcher, ...options }: TrainCommandOptions,
): Promise<void> {
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { SILENT } = await import('../../src/base/logger.js');
  const { placeOf } = await import('../../src/collectives/launchers.js');
  const place = placeOf(launcher);
  await checkRanks(gpus, launcher, place?.size);
  const shown = new ConsoleLogger({ debug: options.debug ?? false, ...(place ? { bars: false } : {}) });
  const { runRanks, STARTED_HERE } = await import('../mpirun.js');
  if (!place && gpus !== undefined && gpus > 1) {
    process.exitCode = await runRanks(gpus, shown);
    return;
  }
  const log = place && place.rank > 0 ? SILENT : shown;
  const { train } = await import('../../src/library/train.js');
  const { interruptible } = await import('../interrupt.js');
  const { nextCommands } = await import('../next-commands.js');
  const cfgOptions = [
    ...(options.cfgOptions ?? []),
    ...(options.seed === undefined ? [] : [`randomness.seed=${options.seed}`]),
  ];
  const heard: readonly StopSignal[] | undefined = place && process.env[STARTED_HERE] ? ['SIGUSR1'] : undefined;
  const work = async (signal: AbortSignal): Promise<void> => {
    const result = await train(config, {
      workDir,
      resume,
      backend,
      estimate,
      options: cfgOptions,
      log,
      signal,
      launcher,
    });
    if (log !== shown) return;
    const given = { '--work-dir': workDir, '--backend': backend, '--seed': options.seed };
    const again = Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag, value]));
    for (const line of await nextCommands({ ...result, config, options: again, cfgOptions: options.cfgOptions ?? [] }))
      log.info(line);
  };
  await interruptible(log, work, undefined, heard);
}

function ranks(text: string): number {
  const n = Number(text);
  if (!Number.isSafeInteger(n) || n < 1) throw new InvalidArgumentError('not a whole number from 1.');
  return n;
}

/** @throws UserError when --gpus and what started this process disagree */
async function checkRanks(gpus: number | undefined, launcher: Launcher, started: number | undefined): Promise<void> {
  if (gpus === undefined) return;
  const { UserError } = await import('../../src/base/errors.js');
  if (gpus > 1 && launcher === 'none')
    throw new UserError(`--gpus ${gpus}: nothing starts ${gpus} ranks; add --launcher mpi`);
  if (gpus > 1 && launcher === 'slurm' && started === undefined)
    throw new UserError(
      `--gpus ${gpus} --launcher slurm: srun starts the ranks; write srun --ntasks=${gpus} before the command`,
    );
  if (started !== undefined && started !== gpus)
    throw new UserError(`--gpus ${gpus}: ${started} ranks were started; leave --gpus out, or give ${started}`);
}
