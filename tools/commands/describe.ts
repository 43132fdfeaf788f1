import type { Command } from 'commander';

interface DescribeOptions {
  readonly explain?: boolean;
  readonly json?: boolean;
  readonly cfgOptions?: readonly string[];
}

export function register(program: Command): void {
  program.command('describe')
    .description('show the options of a component, or a config with everything it inherits')
    .argument('<name>', 'a component, a built-in config, or a config file')
    .option('--explain', 'config: say beside each value which file set it')
    .option('--json', "component: its JSON schema; config: JSON instead of YAML")
    .option('--cfg-options <key=value...>', 'config: replace single values first')
    .addHelpText('after', `
Examples:
  diffengine describe VisualizationHook
  diffengine describe small_sd_dreambooth_lora_dog --explain`)
    .action(describe);
}

async function describe(name: string, { explain, json, cfgOptions }: DescribeOptions): Promise<void> {
  const { loadComponents, loadCustomImports } = await import('../../src/components.js');
  const { builtInConfigs, displayName, loadConfig } = await import('../../src/registry/load-config.js');
  const { describeComponent, findComponents } = await import('../../src/registry/describe.js');
  const { dumpConfig } = await import('../../src/registry/dump.js');
  const { leaves } = await import('../../src/registry/merge.js');
  await loadComponents();
  const isConfig = /\.(m?ts|m?js|ya?ml)$/.test(name) || (await builtInConfigs()).has(name);
  if (!isConfig) {
    const [found] = findComponents(name);
    console.log(json && found ? JSON.stringify(found.component.options, null, 2) : describeComponent(name));
    return;
  }
  const { config, origins, file } = await loadConfig(name, cfgOptions ?? []);
  await loadCustomImports((config['custom_imports'] ?? []) as string[], file);
  if (!explain) {
    console.log(json ? JSON.stringify(config, null, 2) : dumpConfig(config).trimEnd());
    return;
  }
  const rows = [...leaves(config)].map(([path, value]) => [`${path} = ${JSON.stringify(value)}`, displayName(origins.get(path) ?? '')]);
  const width = Math.min(100, Math.max(...rows.map(([left]) => left.length)));
  for (const [left, origin] of rows) console.log(`${left.padEnd(width)}  # ${origin}`);
}
