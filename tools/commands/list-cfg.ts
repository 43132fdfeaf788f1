import type { Command } from 'commander';

export function register(program: Command): void {
  program.command('list-cfg')
    .description('list the built-in configs')
    .argument('[pattern]', 'show only names that contain this')
    .addHelpText('after', '\nExample:\n  diffengine list-cfg small_sd')
    .action(async (pattern = '') => {
      const { builtInConfigs, displayName } = await import('../../src/registry/load-config.js');
      const configs = [...await builtInConfigs()].filter(([name]) => name.includes(pattern)).sort();
      const width = Math.max(0, ...configs.map(([name]) => name.length));
      for (const [name, file] of configs) console.log(`${name.padEnd(width)}  ${displayName(file)}`);
    });
}
