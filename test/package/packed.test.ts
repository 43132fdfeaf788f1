/** The package as npm packs it: what is in it, and whether projects of users compile against it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { resolve } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import t from 'tap';
import ts from 'typescript';
import { Project } from '../fixtures/tools/cli.js';

const CONFIG = `
import { defineConfig, ref } from 'diffengine';
import tinyRandom from 'diffengine/configs/distill_sd_dreambooth/tiny_random_sd_dreambooth_lora_dog';
export default defineConfig({
  _base_: [tinyRandom],
  train_cfg: { max_iters: 20 },
  // @ts-expect-error: no such hook
  custom_hooks: { preview: { type: 'VisualisationHook' } },
  work_dir: 'out',
});
void ref;
`;
const COMPONENT = `
import { Hook, HOOKS, inject, OPTIONS, type OptionsSchema, type Output, type RunState } from 'diffengine';
@HOOKS.register()
export class StopHook extends Hook {
  static readonly options = {
    description: 'Ends the run when the loss is low enough.',
    type: 'object', additionalProperties: false, required: ['below'],
    properties: { below: { type: 'number', description: 'loss at which to stop' } },
  } as const satisfies OptionsSchema;
  constructor(@inject(OPTIONS) private readonly opts: Output<typeof StopHook.options>) { super(); }
  override async afterTrainIter(run: RunState): Promise<void> {
    if (run.logs['loss'] < this.opts.below) run.stop('low enough');
  }
}
declare module 'diffengine' { interface HookMap { StopHook: typeof StopHook } }
`;
const PROGRAM = `
import { defineConfig, UserError } from 'diffengine';
import './component.js';
export const config = defineConfig({ custom_hooks: { stop: { type: 'StopHook', below: 0.1 } } });
// @ts-expect-error: the hook has no such option
defineConfig({ custom_hooks: { stop: { type: 'StopHook', bellow: 0.1 } } });
if (!(new Error() instanceof UserError)) throw new Error('no');
`;

t.setTimeout(300_000); // the compiler and npm, beside other tests
execFileSync(process.execPath, ['scripts/link-component-types.mjs', 'dist']); // the last step of a build; a bare tsc takes it back
const project = Project.create(t, {
  'config.ts': CONFIG,
  'component.ts': COMPONENT,
  'program.ts': PROGRAM,
  // Global in Node.js and in browsers: the one name that the public types take from either.
  'globals.d.ts': 'interface AbortSignal { readonly aborted: boolean }',
  'package.json': '{ "name": "mine", "type": "module" }',
});
execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', project.path]);
const tarball = project.file(readdirSync(project.path).find((name) => name.endsWith('.tgz')) ?? '');
mkdirSync(project.file('node_modules/diffengine'), { recursive: true });
execFileSync('tar', ['xzf', tarball, '--strip-components=1', '-C', project.file('node_modules/diffengine')]);
const { dependencies, files } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  dependencies: Record<string, string>;
  files: string[];
};
for (const name of Object.keys(dependencies)) {
  if (name.includes('/')) mkdirSync(project.file(`node_modules/${name.split('/')[0]}`), { recursive: true });
  symlinkSync(resolve('node_modules', name), project.file(`node_modules/${name}`));
}

void t.test('the package holds what runs, and no pictures of results, logs of trainings, tests or source maps', (t) => {
  const packed = project.files('node_modules/diffengine');
  t.strictSame(
    packed.filter((name) => !name.includes('/')),
    ['CHANGELOG.md', 'CONTRIBUTING.md', 'LICENSE', 'README.md', 'assets', 'configs', 'dist', 'docs', 'package.json'],
  );
  t.strictSame(
    packed.filter((name) =>
      /\.(map|tgz)$|training\.json$|^docs\/.*\.(png|webp)$|^dist\/(test|bench|tools\/(verify|repro))/.test(name),
    ),
    [],
  );
  t.strictSame(
    packed.filter((name) => /^dist\/[^/]+$/.test(name)),
    ['dist/configs', 'dist/src', 'dist/tools', 'dist/ui'],
  );
  for (const needed of [
    'dist/tools/cli.js',
    'dist/ui/index.html',
    'dist/ui/licenses.md',
    'dist/ui/report.html',
    'assets/toyland-small-sd/unet/diffusion_pytorch_model.safetensors',
    'docs/backends.md',
  ])
    t.ok(packed.includes(needed), needed);
  t.ok(files.includes('assets'));
  const megabytes = readFileSync(tarball).length / 1e6;
  t.ok(megabytes < 20, `${megabytes.toFixed(1)} MB`);
  t.end();
});

void t.test('publint finds nothing to say', async (t) => {
  const { buffer } = Uint8Array.from(readFileSync(tarball));
  const { messages } = await publint({ pack: { tarball: buffer }, strict: true });
  t.strictSame(messages, []);
});

void t.test('arethetypeswrong finds nothing wrong for importers; the package is ESM only', async (t) => {
  const found = await checkPackage(createPackageFromTarballData(readFileSync(tarball)), {
    entrypoints: ['.', './configs/_base_/models/small_sd_lora'],
  });
  if (!found.types) throw new Error('no types in the package');
  const problems = found.problems.map((problem) =>
    'entrypoint' in problem ? `${problem.kind} of ${problem.entrypoint} for ${problem.resolutionKind}` : problem.kind,
  );
  t.strictSame(
    problems.filter((problem) => !/ for (node10|node16-cjs)$/.test(problem)),
    [],
  );
});

for (const [name, module, moduleResolution] of [
  ['nodenext', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
  ['bundler', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
] as const) {
  void t.test(`a config, a component and a program compile under ${name}, with every declaration checked`, (t) => {
    const roots = ['config.ts', 'component.ts', 'program.ts', 'globals.d.ts'].map(project.file);
    const program = ts.createProgram(roots, {
      module,
      moduleResolution,
      target: ts.ScriptTarget.ES2022,
      lib: ['lib.es2022.d.ts'],
      strict: true,
      experimentalDecorators: true,
      noEmit: true,
      skipLibCheck: false,
      types: [], // nothing of Node.js or the browser
    });
    t.strictSame(
      ts
        .getPreEmitDiagnostics(program)
        .map(({ file, messageText }) => [file?.fileName, ts.flattenDiagnosticMessageText(messageText, ' ')]),
      [],
    );
    const read = program.getSourceFiles().map(({ fileName }) => fileName);
    t.strictSame(
      read.filter((file) => /@tensorflow|onnxruntime|@types\/node/.test(file)),
      [],
      'no types of a runtime are read',
    );
    // A schema that becomes a type in the user's compilation costs thousands each: it was 362,000 before they were written out.
    t.ok(program.getInstantiationCount() < 120_000, `${program.getInstantiationCount()} instantiations`);
    t.end();
  });
}
