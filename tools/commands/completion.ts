import { Argument, type Command } from 'commander';
import type { CompletionWords } from '../completion.js';

export function register(program: Command): void {
  program
    .command('completion')
    .description('print what makes a shell complete commands, options, configs and --cfg-options')
    .addArgument(new Argument('<shell>', 'where it is for').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      `
Examples:
  diffengine completion bash >> ~/.bashrc
  diffengine completion zsh > ~/.zfunc/_diffengine               a folder of $fpath
  diffengine completion fish > ~/.config/fish/completions/diffengine.fish

It completes the command "diffengine", as npm install --global or node_modules/.bin in $PATH give it. Print it again after an update.`,
    )
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('../completion.js');
      console.log(completionScript(shell, await words(program)));
    });
}

async function words(program: Command): Promise<CompletionWords> {
  const { loadComponents } = await import('../../src/components.js');
  const { builtInConfigs, loadConfig } = await import('../../src/registry/load-config.js');
  const { optionPaths } = await import('../../src/registry/option-paths.js');
  const { componentNames } = await import('../../src/registry/describe.js');
  await loadComponents();
  const configs = [...(await builtInConfigs()).keys()].sort(),
    paths = new Set(['size']);
  for (const name of configs) for (const path of optionPaths((await loadConfig(name)).config)) paths.add(path);
  return {
    commands: program.commands.map((command) => ({
      name: command.name(),
      description: command.description(),
      flags: command.options.flatMap(({ long }) => long ?? []),
      takesConfig: command.registeredArguments.some(({ description }) => /config/.test(description)),
    })),
    configs,
    components: [...new Set(componentNames())].sort(),
    paths: [...paths].sort(),
  };
}
