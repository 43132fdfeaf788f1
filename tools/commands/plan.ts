import type { Command } from 'commander';
import type { ProgressLogger } from '../../src/base/logger.js';

interface PlanCommandOptions {
  readonly cfgOptions?: readonly string[];
  readonly backend?: string;
  readonly memory?: string;
  readonly measuring: boolean;
  readonly json?: boolean;
  readonly debug?: boolean;
}

export function register(program: Command): void {
  program
    .command('plan')
    .description('say what training a config would cost: parameters, arithmetic, memory, time')
    .argument('<config>', 'a config file (.ts, .js, .yaml), or the name of a built-in config (see list-cfg)')
    .option('--cfg-options <key=value...>', 'replace single values of the config: text as it stands, the rest as YAML')
    .option('--backend <name>', 'what computes: onnxruntime, tfjs, or another component of BACKENDS')
    .option('--memory <GiB>', 'for a machine with so much memory (default: this one)')
    .option('--no-measuring', 'no times: skip the second of measuring')
    .option('--json', 'all numbers, in bytes, operations and seconds')
    .option('--debug', 'stack traces of errors')
    .addHelpText(
      'after',
      `
Examples:
  diffengine plan small_sd_dreambooth_lora_dog
  diffengine plan my_config.ts --memory 8
  diffengine plan small_sd_dreambooth_lora_dog --cfg-options model.model=./my-small-sd train_dataloader.batch_size=1
  diffengine plan my_config.ts --json --no-measuring

Nothing is trained and no weights are read; of a model on the hub only the configs are fetched. Exit code 1 when it does not fit.`,
    )
    .action(planCommand);
}

async function planCommand(nameOrPath: string, options: PlanCommandOptions): Promise<void> {
  const { plan } = await import('../../src/library/plan.js');
  const { planText } = await import('../../src/planning/plan-text.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { UserError } = await import('../../src/base/errors.js');
  const { SILENT } = await import('../../src/base/logger.js');
  const { Phases } = await import('../../src/engine/phases.js');
  const { watchPhases } = await import('../../src/engine/phase-watch.js');
  const gib = options.memory === undefined ? undefined : Number(options.memory);
  if (gib !== undefined && !(gib > 0))
    throw new UserError(`--memory: ${options.memory}: not a size; give GiB, such as 8`);
  const log = new ConsoleLogger({ debug: options.debug ?? false, ...(options.json && { out: process.stderr }) });
  const phases = new Phases(),
    unwatch = watchPhases(phases, { ...SILENT, progress: (...of) => log.progress(...of) } as ProgressLogger); // a bar, no line
  const work = plan(nameOrPath, {
    options: options.cfgOptions,
    backend: options.backend,
    measuring: options.measuring,
    log,
    ...(gib !== undefined && { memory: gib * 2 ** 30 }),
  });
  const { misfit, ...made } = await phases.measure('estimate', () => work).finally(unwatch);
  const { limit, available, ...memory } = made.memory;
  console.log(
    options.json
      ? JSON.stringify({ ...made, memory: { ...memory, limit }, ...(misfit && { advice: misfit.advice }) }, null, 2)
      : planText(made, limit, available),
  );
  if (misfit) throw new UserError(misfit.message, { code: 'OUT_OF_MEMORY' });
}
