#!/usr/bin/env node
/** The command line. One file per command in `commands/`; each loads what it needs only when it runs. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { Command, CommanderError } from 'commander';
import { endBySignals } from './interrupt.js';

endBySignals();

// A closed pipe (`| head`) ends the output, not the work.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

const folder = new URL('./commands/', import.meta.url);
const packageRoot = fileURLToPath(new URL('../../', import.meta.url));
const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('diffengine')
  .description('Train and personalise small, distilled Stable Diffusion models. No Python.')
  .version(version)
  .configureHelp({ subcommandTerm: termOf })
  .exitOverride() // commander would end the process itself
  .showHelpAfterError('(add --help for the options and examples)')
  .addHelpText(
    'after',
    `
Examples:
  diffengine train tiny_random_sd_dreambooth_lora_dog  train a small example
  diffengine ui                                        a page of your runs
  diffengine list-cfg                                  what else is built in
  diffengine copy-cfg small_sd_dreambooth_lora_dog .   start your own config
  diffengine describe DreamBoothDataset                options of a component
  diffengine <command> --help                          options and examples`,
  );

for (const file of readdirSync(folder)
  .filter((name) => name.endsWith('.js'))
  .sort()) {
  const command = (await import(new URL(file, folder).href)) as { register(program: Command): void };
  command.register(program);
}
for (const command of program.commands) {
  if (!command.options.some(({ long }) => long === '--debug')) command.option('--debug', 'stack traces of errors');
}

/** What a component does behind our back, Node would report with a code alone: 0, or 13 for what waits in vain. */
let atWork = true;
let waitsInVain = false;
process.once('beforeExit', () => (waitsInVain = true)); // nothing is left that could wake it
process.once('exit', (code) => {
  if (!atWork || (code !== 0 && code !== 13)) return;
  const what = waitsInVain ? 'it waits for something that never comes' : 'something called process.exit()';
  process.stderr.write(`diffengine: ended before its work was done: ${what}; look at your own components\n`);
  process.exitCode = 1;
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    atWork = false;
    process.exit(error.exitCode); // commander has said what there is to say
  }
  const { UserError } = await import('../src/base/errors.js');
  const { stackFiles } = await import('../src/registry/stack.js');
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const debug = process.argv.includes('--debug');
  if (!isTold(error)) process.stderr.write(`${debug ? inspect(error) : `diffengine: ${message}`}\n`);
  if (!debug && !(error instanceof UserError))
    process.stderr.write(`${origin(stackFiles(stack))}; --debug shows where it happened.\n`);
  process.exitCode ||= 1;
}
atWork = false;

/** Of several ranks one tells of an error: src/collectives */
function isTold(error: unknown): boolean {
  return error instanceof Error && error.name === 'RankError' && (error as { isTold?: boolean }).isTold === true;
}

/** Whose mistake an unexpected error is: a component of the user's may have thrown it. */
function origin(files: readonly string[]): string {
  const own = files.find((file) => !file.startsWith(packageRoot));
  return own === undefined
    ? `This looks like a defect of diffengine ${version} (${packageRoot})`
    : `It comes from ${own}`;
}

/** Without "[options]", which all have: in 80 columns there is room for the descriptions then. */
function termOf(command: Command): string {
  return [
    command.name(),
    ...command.registeredArguments.map((a) => (a.required ? `<${a.name()}>` : `[${a.name()}]`)),
  ].join(' ');
}
