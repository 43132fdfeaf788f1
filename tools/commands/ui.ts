import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';

export function register(program: Command): void {
  program
    .command('ui')
    .description('a page for your browser with all runs below a folder: watch, compare, draw, start, stop, resume')
    .argument('[folder]', 'where runs are (default: work_dirs, or this folder where there is none)')
    .option('--port <n>', 'where it listens, on this machine alone; 0: any that is free', port, 7860)
    .addHelpText(
      'after',
      `
Examples:
  diffengine ui
  diffengine ui work_dirs/my_run
  diffengine ui ~/experiments --port 0

Open the link that it prints: its token lets you in, and nobody else. Ctrl-C ends it; runs that the page has started
save a checkpoint first.`,
    )
    .action(ui);
}

function port(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0 || value > 65_535)
    throw new InvalidArgumentError('not a port: a whole number from 0 to 65535.');
  return value;
}

async function ui(folder: string | undefined, { port }: { port: number }): Promise<void> {
  const { ConsoleLogger } = await import('../../src/loggers/console-logger.js');
  const { runsFolder } = await import('../ui/runs-folder.js');
  const { startUi } = await import('../ui/server.js');
  const { Interrupt } = await import('../interrupt.js');
  const log = new ConsoleLogger();
  const root = await runsFolder(folder);
  const server = await startUi({ root, cwd: process.cwd(), port, log });
  const interrupt = new Interrupt(
    log,
    'ending; runs that the page has started save a checkpoint first. Once more ends this now; they save and end by themselves',
  );
  log.info(`runs below ${root}`);
  log.info(`open ${server.link}`);
  log.info('Ctrl-C ends it');
  await new Promise((done) => interrupt.signal.addEventListener('abort', done));
  if (server.running > 0) log.info(`waiting for ${server.running} ${server.running === 1 ? 'run' : 'runs'}`);
  await server.close();
  interrupt.dispose();
}
