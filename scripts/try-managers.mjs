// Packs the package and installs it with each package manager in an empty folder, without install scripts, as pnpm and
// Yarn 4 do by default; then trains a TypeScript config with a component there. Needs the npm registry.
//   npm run build && node scripts/try-managers.mjs [name ...]
// Without the registry it says so and ends well.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packed, registryAnswers, run } from './packed.mjs';

if (!registryAnswers()) {
  console.log('package managers: not tried, the npm registry does not answer');
  process.exit(0);
}
const { folder: root, tarball } = packed();
const PNPM = ['npx', '-y', 'pnpm@12'],
  YARN1 = ['npx', '-y', 'yarn@1'],
  YARN4 = ['npx', '-y', '-p', '@yarnpkg/cli-dist@4', 'yarn'];
const yarnrc = (linker) => ({
  '.yarnrc.yml': `nodeLinker: ${linker}\nenableTelemetry: false\nenableScripts: false\n`,
  'yarn.lock': '',
});

/** What is typed, `PACKAGE` being the packed file. */
const MANAGERS = {
  npm: { install: ['npm', 'install', '--ignore-scripts', 'PACKAGE'], run: ['npx', 'diffengine'] },
  'npm -g': {
    install: ['npm', 'install', '-g', '--prefix', 'global', '--ignore-scripts', 'PACKAGE'],
    run: ['global/bin/diffengine'],
  },
  // pnpm 12 ends with 1 until one decides about build scripts.
  pnpm: {
    files: { 'pnpm-workspace.yaml': 'allowBuilds:\n  koffi: false\n  onnxruntime-node: false\n  protobufjs: false\n' },
    install: [...PNPM, 'add', 'PACKAGE'],
    run: [...PNPM, 'exec', 'diffengine'],
  },
  'yarn 1': { install: [...YARN1, 'add', '--ignore-scripts', 'PACKAGE'], run: [...YARN1, '-s', 'diffengine'] },
  'yarn 4 pnp': {
    files: yarnrc('pnp'),
    install: [...YARN4, 'add', 'diffengine@file:PACKAGE'],
    run: [...YARN4, 'diffengine'],
  },
  'yarn 4 node-modules': {
    files: yarnrc('node-modules'),
    install: [...YARN4, 'add', 'diffengine@file:PACKAGE'],
    run: [...YARN4, 'diffengine'],
  },
};

const HOOK = `import { Hook, HOOKS, type OptionsSchema, type RunState } from 'diffengine';
@HOOKS.register()
export class HelloHook extends Hook {
  static readonly options = { description: 'Says hello.', type: 'object', additionalProperties: false, properties: {} } as const satisfies OptionsSchema;
  override async beforeTrain(run: RunState): Promise<void> { console.log('hello', run.maxIters); }
}
`;
const CONFIG = `import { defineConfig } from 'diffengine';
import base from 'diffengine/configs/distill_sd_dreambooth/tiny_random_sd_dreambooth_lora_dog';
import './hello_hook.js';
export default defineConfig({ _base_: [base], train_cfg: { max_iters: 2 }, custom_hooks: { preview: null, hello: { type: 'HelloHook' } } as never });
`;

try {
  const asked = process.argv.slice(2);
  for (const [name, { files = {}, install, run: cli }] of Object.entries(MANAGERS)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    const folder = join(root, name.replaceAll(' ', '-'));
    mkdirSync(folder);
    const all = {
      'package.json': '{ "name": "mine", "type": "module" }',
      'hello_hook.ts': HOOK,
      'my.ts': CONFIG,
      ...files,
    };
    for (const [file, text] of Object.entries(all)) writeFileSync(join(folder, file), text);
    try {
      run(
        folder,
        install.map((word) => word.replace('PACKAGE', tarball)),
      );
      const printed = run(folder, [...cli, 'train', 'my.ts']);
      if (!/^hello 2$/m.test(printed)) throw new Error(`the hook did not speak:\n${printed}`);
      const adapter = 'work_dirs/my/step1/unet/adapter_model.safetensors';
      if (!existsSync(join(folder, adapter))) throw new Error(`no ${adapter}:\n${printed}`);
      console.log(`${name}: trains`);
    } catch (error) {
      process.exitCode = 1;
      console.log(`${name}: FAILS: ${error.message}`);
    }
    rmSync(folder, { recursive: true, force: true });
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
