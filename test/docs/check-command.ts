/** What can be said of a command without running it: it exists, takes these options, and its config is one. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { Command } from 'commander';
import { loadComponents, loadCustomImports } from '../../src/components.js';
import { applyCfgOptions } from '../../src/registry/cfg-options.js';
import { loadConfig } from '../../src/registry/load-config.js';
import type { Tree } from '../../src/registry/merge.js';
import { validateConfig } from '../../src/registry/validate.js';

const TOOLS = resolve('dist/tools/commands');
const scripts = Object.keys((JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: object }).scripts);

/** What a block of usage leaves open: `diffengine eval <model> [--clip <folder>]`. */
const isUsage = (words: string): boolean => /<[\w ]+>/.test(words);

/**
 * @param words of one command
 * @param folder the project in which it would run
 * @throws saying what is wrong
 */
export async function checkCommand(words: readonly string[], folder: string): Promise<void> {
  const [program, ...args] = words[0] === 'npx' ? words.slice(1) : words;
  if (program === 'diffengine') await checkDiffengine(args, folder);
  if (program === 'npm' && args[0] === 'run' && !scripts.includes(args[1])) throw new Error(`no script ${args[1]}`);
  if (program === 'node' && args[0].startsWith('dist/') && !existsSync(args[0])) throw new Error(`no file ${args[0]}`);
}

/** Commands and options that a usage line names exist. */
export async function checkUsage(block: string): Promise<boolean> {
  if (!isUsage(block)) return false;
  for (const line of block.trim().split('\n')) {
    const words = line.replace(/#.*/, '').split(/[\s[\]]+/);
    const name = words[words.indexOf('diffengine') + 1];
    const command = (await tree()).commands.find((command) => command.name() === name);
    if (!command) throw new Error(`no command ${name}`);
    for (const option of words.filter((word) => word.startsWith('--')))
      if (!command.options.some(({ long }) => long === option)) throw new Error(`${name} has no option ${option}`);
  }
  return true;
}

async function checkDiffengine(args: readonly string[], folder: string): Promise<void> {
  const program = await tree();
  let used: { name: string; operands: unknown[]; options: Record<string, unknown> } | undefined;
  for (const command of program.commands)
    command.action((...values: unknown[]) => {
      used = { name: command.name(), operands: values.slice(0, -2), options: command.opts() };
    });
  const given = args.filter((word, i) => word !== '...' && !(word.startsWith('--') && args[i + 1] === '...'));
  await program.parseAsync(given, { from: 'user' });
  if (used?.name === 'train' || used?.name === 'plan')
    await checkConfig(String(used.operands[0]), folder, (used.options['cfgOptions'] as string[] | undefined) ?? []);
}

/** All of cli.ts but its actions. */
async function tree(): Promise<Command> {
  const program = new Command('diffengine').exitOverride().configureOutput({ writeErr: () => undefined });
  for (const file of readdirSync(TOOLS).filter((name) => name.endsWith('.js')))
    ((await import(join(TOOLS, file))) as { register(program: Command): void }).register(program);
  for (const command of program.commands) command.exitOverride().configureOutput({ writeErr: () => undefined });
  return program;
}

/** Loads and validates as `train` does. @param name a built-in config, or a file of the project */
export async function checkConfig(name: string, folder: string, options: readonly string[] = []): Promise<void> {
  await loadComponents();
  const { config, file } = await loadConfig(extname(name) === '' ? name : resolve(folder, name), options);
  await loadCustomImports(config, file);
  validateConfig(config);
}

/** A piece of a config, which stands for no whole one, fits the smallest built-in one. */
export async function checkPiece(piece: Tree): Promise<void> {
  await loadComponents();
  const { config } = await loadConfig('tiny_random_sd_dreambooth_lora_dog');
  const options = Object.entries(piece).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  validateConfig(applyCfgOptions(config, options, new Map()));
}
