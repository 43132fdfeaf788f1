import type { Command } from 'commander';

export function register(program: Command): void {
  program
    .command('list-cfg')
    .description('list the built-in configs')
    .argument('[pattern]', 'show only names that contain this')
    .addHelpText('after', '\nExample:\n  diffengine list-cfg small_sd')
    .action(list);
}

async function list(pattern = ''): Promise<void> {
  const { builtInConfigs, displayName } = await import('../../src/registry/load-config.js');
  const { UserError } = await import('../../src/base/errors.js');
  const all = [...(await builtInConfigs())].sort(([a], [b]) => (a < b ? -1 : 1));
  const configs = all.filter(([name]) => name.includes(pattern));
  if (configs.length === 0)
    throw new UserError(
      `${pattern}: no built-in config has that in its name; known: ${all.map(([name]) => name).join(', ')}`,
    );
  const width = Math.max(...configs.map(([name]) => name.length));
  for (const [name, file] of configs) console.log(`${name.padEnd(width)}  ${displayName(file)}`);
}
