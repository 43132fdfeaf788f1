/** What the compiler tells the author of a config, in a project that has the package installed. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { Project } from '../fixtures/tools/cli.js';

const MISTAKES: readonly (readonly [source: string, message: RegExp])[] = [
  [
    '{ train_dataloder: {} }',
    /'train_dataloder' does not exist in type 'ConfigInput'\. Did you mean to write 'train_dataloader'\?$/,
  ],
  ['{ train_dataloader: { batch_sise: 4 } }', /'batch_sise' does not exist .* Did you mean to write 'batch_size'\?$/],
  [
    "{ custom_hooks: { preview: { type: 'VisualizationHook', intervall: 5 } } }",
    /'intervall' does not exist .* Did you mean to write 'interval'\?$/,
  ],
  [
    '{ custom_hooks: { preview: { intervall: 5 } } }',
    /'intervall' does not exist in type 'NamedHook<"VisualizationHook">'\.$/,
  ],
  [
    '{ default_hooks: { checkpoint: { every: 5 } } }',
    /'every' does not exist in type 'NamedHook<"CheckpointHook">'\.$/,
  ],
  [
    "{ train_dataloader: { dataset: { type: 'DreamBoothDataset', class_image: { num_image: 4 } } } }",
    /'num_image' does not exist in type .*num_images/,
  ],
  [
    "{ train_dataloader: { dataset: { pipeline: [{ type: 'Resize', size: 64, interpolate: 'nearest' }] } } }",
    /'interpolate' does not exist in type .*interpolation/,
  ],
  [
    "{ custom_hooks: { preview: { type: 'VisualisationHook' } } }",
    /Type '"VisualisationHook"' is not assignable .* Did you mean '"VisualizationHook"'\?$/,
  ],
  ["{ model: { loss: { type: 'L2los' } } }", /Type '"L2los"' is not assignable to type .*"L2Loss"/],
  [
    "{ optim_wrapper: { optimizer: { lr: '1e-4' } } }",
    /^Type 'string' is not assignable to type 'number \| Ref \| null \| undefined'\.$/,
  ],
  ['{ train_cfg: { max_iters: true } }', /^Type 'true' is not assignable to type 'number \| Ref \| undefined'\.$/],
  ['{ custom_hooks: { preview: { prompt: [5] } } }', /^Type 'number' is not assignable to type 'string'\.$/],
  ['{ optim_wrapper: { clip_grad: { norm: 1 } } }', /'norm' does not exist in type .*max_norm/],
  ["{ _base_: [base, { model: { modle: 'x' } }] }", /'modle' does not exist in type 'ComponentInput<"MODELS">'\.$/],
];

execFileSync(process.execPath, ['scripts/link-component-types.mjs', 'dist']); // the last step of a build; a bare tsc takes it back

const GOOD = [
  "{ _base_: [base, './other.yaml'], model: { model: './mine' } }",
  '{ _base_: base, model: { unet_lora_config: null }, custom_hooks: { preview: null } }',
  "{ train_dataloader: { dataset: { class_image: { model: ref('model.model') } } }, work_dir: 'out' }",
  "{ optim_wrapper: { optimizer: { _delete_: true, type: 'AdamW', lr: 1e-5 }, clip_grad: null } }",
  "{ custom_hooks: { preview: { type: 'EMAHook' }, mine: { interval: 5 } } }",
  "{ train_dataloader: { sampler: { shuffle: false } }, param_scheduler: { type: 'LinearLR', end: 10 } }",
];

void t.test('a mistake in a config is one error, which names it; partial configs are none', async (t) => {
  const lines = [...MISTAKES.map(([source]) => source), ...GOOD].map((source) => `defineConfig(${source});`);
  const head =
    "import { defineConfig, ref } from 'diffengine'; import base from 'diffengine/configs/_base_/models/small_sd_lora';";
  const project = Project.create(t, {
    'my.ts': [`${head} void ref;`, ...lines].join('\n'),
    'package.json': '{ "name": "mine", "type": "module" }',
  });
  project.installPackage();
  const program = ts.createProgram([project.file('my.ts')], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [resolve('node_modules/@types')],
  });
  const found = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => ({
    line: file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0,
    message: ts.flattenDiagnosticMessageText(messageText, ' '),
  }));
  t.strictSame(
    found.map(({ line }) => line),
    MISTAKES.map((_, i) => i + 1),
    'one error for each mistake, none for the others',
  );
  for (const [i, [source, message]] of MISTAKES.entries())
    t.match(found.find(({ line }) => line === i + 1)?.message, message, source);
});

void t.test('every shipped config is TypeScript that a user may copy: it imports from the package only', async (t) => {
  const { builtInConfigs, displayName } = await import('../../src/registry/load-config.js');
  for (const file of (await builtInConfigs()).values()) {
    const imports = [...readFileSync(displayName(file), 'utf8').matchAll(/ from '([^']+)'/g)].map(([, from]) => from);
    t.strictSame(
      imports.filter((from) => !/^diffengine(\/configs\/|$)/.test(from)),
      [],
      displayName(file),
    );
  }
});
