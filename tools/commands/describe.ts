import type { Command } from 'commander';

interface DescribeOptions {
  readonly explain?: boolean;
  readonly json?: boolean;
  readonly cfgOptions?: readonly string[];
}

export function register(program: Command): void {
  program
    .command('describe')
    .description('show the options of a component, or a config with everything it inherits')
    .argument('[name]', 'a component, a built-in config, or a config file (default: list the components)')
    .option('--explain', 'config: say beside each value which file set it')
    .option(
      '--json',
      'component: its JSON schema; config: JSON instead of YAML; neither: JSON schema of configs, for editors',
    )
    .option('--cfg-options <key=value...>', 'config: replace single values first')
    .addHelpText(
      'after',
      `
Examples:
  diffengine describe
  diffengine describe VisualizationHook
  diffengine describe small_sd_dreambooth_lora_dog --explain
  diffengine describe --json > diffengine.schema.json      then, in a YAML config: # yaml-language-server: $schema=diffengine.schema.json`,
    )
    .action(describeCommand);
}

async function describeCommand(name: string | undefined, options: DescribeOptions): Promise<void> {
  if (name === undefined) return describeAll(options);
  const { builtInConfigs } = await import('../../src/registry/load-config.js');
  const configs = await builtInConfigs();
  const isConfig = /\.(m?ts|m?js|ya?ml)$/.test(name) || configs.has(name);
  await (isConfig ? describeConfig(name, options) : describeComponent(name, options));
}

async function describeAll({ json }: DescribeOptions): Promise<void> {
  const { loadComponents } = await import('../../src/components.js');
  const { componentList } = await import('../../src/registry/describe.js');
  const { editorSchema } = await import('../../src/registry/editor-schema.js');
  await loadComponents();
  console.log(json ? JSON.stringify(editorSchema(), null, 2) : componentList());
}

async function describeComponent(name: string, { json }: DescribeOptions): Promise<void> {
  const { describe } = await import('../../src/library/describe.js');
  const { componentText } = await import('../../src/registry/describe.js');
  const found = await describe(name);
  console.log(json ? JSON.stringify(found[0].options, null, 2) : found.map(componentText).join('\n\n'));
}

async function describeConfig(name: string, { explain, json, cfgOptions }: DescribeOptions): Promise<void> {
  const { loadConfig } = await import('../../src/library/load-config.js');
  const { explainText } = await import('../../src/registry/describe.js');
  const { dumpConfig } = await import('../../src/registry/dump.js');
  const { config, origins } = await loadConfig(name, { options: cfgOptions });
  console.log(
    explain ? explainText(config, origins) : json ? JSON.stringify(config, null, 2) : dumpConfig(config).trimEnd(),
  );
}
