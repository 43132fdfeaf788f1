/** Components of the user's own, each in one file, in a folder beside no part of the package: those that the documents show. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { stringify } from 'yaml';
import { packageRoot } from '../../src/base/package-path.js';
import { codeOf } from '../docs/documents.js';

t.setTimeout(300_000);

const cli = fileURLToPath(new URL('../../tools/cli.js', import.meta.url));
const shown = { ...codeOf('README.md'), ...codeOf('CONTRIBUTING.md') };
const OWN = ['file_name_dataset', 'l1_loss', 'loss_log_hook'];

const CONFIG = {
  model: { loss: { type: 'L1Loss', loss_weight: 2 } },
  train_dataloader: {
    dataset: {
      _delete_: true,
      type: 'FileNameDataset',
      folder: './pictures',
      pipeline: [
        { type: 'Resize', size: 64 },
        { type: 'CenterCrop', size: 64 },
        { type: 'ToTensor' },
        { type: 'Normalize', mean: [0.5], std: [0.5] },
        { type: 'PackInputs' },
      ],
    },
  },
  train_cfg: { max_iters: 2 },
  custom_hooks: { preview: null, losses: { type: 'LossLogHook', interval: 1 } },
};
const BASE = 'diffengine/configs/distill_sd_dreambooth/tiny_random_sd_dreambooth_lora_dog';

/** As `npm init -y` would have made the folder: without "type": "module". */
function project(t: Test): string {
  const folder = t.testdir({
    'package.json': '{ "name": "mine" }',
    ...Object.fromEntries(OWN.map((name) => [`${name}.ts`, shown[`${name}.ts`]])),
    'my_config.yaml': stringify({ _base_: BASE, custom_imports: OWN.map((name) => `./${name}.ts`), ...CONFIG }),
    'my_config.ts': [
      "import { defineConfig } from 'diffengine';",
      `import base from '${BASE}';`,
      ...OWN.map((name) => `import './${name}.js';`),
      `export default defineConfig({ _base_: [base], ...${JSON.stringify(CONFIG)} });`,
    ].join('\n'),
  });
  mkdirSync(join(folder, 'pictures'));
  copyFileSync(join(packageRoot, 'assets/dog-drawings/01-meadow.png'), join(folder, 'pictures/a_dog.png'));
  return folder;
}

function diffengine(cwd: string, ...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { cwd, encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

void t.test(
  "a hook, a loss and a dataset of one's own train, from a TypeScript config and from a YAML config alike",
  async (t) => {
    const folder = project(t);
    const losses = ['my_config.ts', 'my_config.yaml'].map((config, i) => {
      const { code, out, err } = diffengine(folder, 'train', config, '--work-dir', `run${i}`);
      t.equal(code, 0, err);
      t.match(out, /data +FileNameDataset: 1 samples/);
      return readFileSync(join(folder, `run${i}`, 'losses.txt'), 'utf8');
    });
    t.match(losses[0], /^0 \d\.\d+\n1 \d\.\d+\n$/, 'the hook wrote a line per iteration');
    t.equal(losses[0], losses[1]);
  },
);

void t.test("the config in the work dir finds the user's files again", async (t) => {
  const folder = project(t);
  diffengine(folder, 'train', 'my_config.yaml', '--work-dir', 'first');
  const { code, err } = diffengine(folder, 'train', 'first/config.yaml', '--work-dir', 'second');
  t.equal(code, 0, err);
  t.equal(
    readFileSync(join(folder, 'second/losses.txt'), 'utf8'),
    readFileSync(join(folder, 'first/losses.txt'), 'utf8'),
  );
});

void t.test("options of one's own components are checked as those of the package", async (t) => {
  const { code, err } = diffengine(
    project(t),
    'train',
    'my_config.ts',
    '--cfg-options',
    'custom_hooks.losses.intervall=2',
    'model.loss.loss_weight=much',
  );
  t.equal(code, 1);
  t.equal(
    err,
    'diffengine: model.loss.loss_weight: expected number, got "much"\ncustom_hooks.losses.intervall: unknown option; did you mean "interval"?\n',
  );
});
