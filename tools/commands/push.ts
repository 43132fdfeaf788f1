import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('push')
    .description('upload what a run trained, with a model card and pictures, to the Hugging Face hub')
    .argument('<checkpoint>', 'checkpoint or work dir of a run')
    .argument('<repository>', 'user/name; made when it is not there')
    .option('--public', 'a new repository is for everyone; by default it is private')
    .option('--license <name>', 'licence of the base model, for the card: creativeml-openrail-m')
    .addHelpText(
      'after',
      `
The token is HF_TOKEN, or what "hf auth login" left.
Training state and paths of this machine stay here.

Example:
  diffengine push work_dirs/small_sd_dreambooth_lora_dog me/my-dog --license creativeml-openrail-m`,
    )
    .action(pushCommand);
}

async function pushCommand(
  checkpoint: string,
  repository: string,
  options: { public?: boolean; license?: string },
): Promise<void> {
  const { push } = await import('../../src/library/push.js');
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { interruptible } = await import('../interrupt.js');
  const log = new ConsoleLogger();
  await interruptible(
    log,
    async (signal) => {
      const { url, files } = await push(checkpoint, repository, { ...options, log, signal });
      log.info(`${files.length} files: ${url}`);
    },
    'stopping the upload; once more ends it now',
  );
}
