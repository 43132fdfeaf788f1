import { Option, type Command } from 'commander';
import type { ExportFormat, TargetLibraries } from '../../src/library/export-lora.js';

export function register(program: Command): void {
  program
    .command('export-lora')
    .description('write an adapter in the format of another tool')
    .argument('<pipeline>', 'base model of the adapter: a folder, or an id of the hub')
    .argument('<adapter>', 'checkpoint or work dir of a run, or an adapter of PEFT, diffusers or kohya')
    .addOption(
      new Option(
        '--format <format>',
        'peft: a folder; diffusers: a file for load_lora_weights; kohya: a file for A1111 and ComfyUI',
      )
        .choices(['peft', 'diffusers', 'kohya'])
        .default('kohya'),
    )
    .addOption(
      new Option(
        '--libraries <libraries>',
        'Python libraries that read it: from transformers 5.6 on, modules of the text encoder have shorter names; kohya files have both for current',
      )
        .choices(['current', 'transformers<5.6'])
        .default('current'),
    )
    .requiredOption('--out <path>', 'the file (.safetensors), or the folder for peft')
    .addHelpText(
      'after',
      `
Example:
  diffengine export-lora segmind/small-sd work_dirs/small_sd_dreambooth_lora_dog/step999 --format kohya --out dog.safetensors`,
    )
    .action(exportCommand);
}

async function exportCommand(
  model: string,
  adapter: string,
  options: { format: ExportFormat; libraries: TargetLibraries; out: string },
): Promise<void> {
  const { exportLora } = await import('../../src/library/export-lora.js');
  const { EXPORTS } = await import('../../src/adapters/export.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { isStdout, outputPlace } = await import('../../src/base/output-place.js');
  const isFile = options.format !== 'peft';
  const log = new ConsoleLogger(
    isFile && (await isStdout(await outputPlace(options.out))) ? { out: process.stderr } : {},
  );
  const { out, format } = await exportLora(model, adapter, { ...options, log });
  log.info(`wrote ${out}: ${EXPORTS[format]}`);
}
