import type { Command } from 'commander';

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
  const { loadComponents, loadCustomImports } = await import('../../src/components.js');
  const { loadConfig } = await import('../../src/registry/load-config.js');
  const { validateConfig } = await import('../../src/registry/validate.js');
  const { backendType } = await import('../../src/engine/build-backend.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { machineMemory, plan } = await import('../../src/planning/plan.js');
  const { fitting } = await import('../../src/planning/fit.js');
  const { planText } = await import('../../src/planning/plan-text.js');
  const { UserError } = await import('../../src/base/errors.js');

  const { limit, available } =
    options.memory === undefined ? machineMemory() : { limit: Number(options.memory) * 2 ** 30, available: undefined };
  if (!(limit > 0)) throw new UserError(`--memory: ${options.memory}: not a size; give GiB, such as 8`);
  await loadComponents(); // first: options say what they take
  const { file, config: merged } = await loadConfig(nameOrPath, options.cfgOptions ?? []);
  const imports = await loadCustomImports(merged, file);
  const backend = options.backend === undefined ? {} : { backend: { type: backendType(options.backend) } };
  const config = validateConfig({ ...merged, ...backend, custom_imports: imports });
  const log = new ConsoleLogger({ debug: options.debug ?? false });
  const made = await plan({ config, log, calibrationSeconds: options.measuring ? 1 : 0 });
  const fit = await fitting(made, config, limit, log);
  console.log(
    options.json
      ? JSON.stringify(
          { ...made, memory: { ...made.memory, limit, fits: fit === undefined }, ...(fit && { advice: fit.advice }) },
          null,
          2,
        )
      : planText(made, limit, available),
  );
  if (fit) throw new UserError(fit.message);
}
