/** Components of the user's own, each in one file, in a folder beside no part of the package. */
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { packageRoot } from '../../src/base/package-path.js';

const cli = fileURLToPath(new URL('../../tools/cli.js', import.meta.url));

/** A copy of test/fixtures/user-project, as `npm init -y` would have made the folder: without "type": "module". */
function project(t: Test): string {
  const folder = t.testdir({ 'package.json': '{ "name": "mine" }' });
  cpSync(resolve('test/fixtures/user-project'), folder, { recursive: true });
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

void t.test(
  "tsc knows the components of the package, and one's own, in a project that installed the package",
  async (t) => {
    const folder = project(t),
      installed = join(folder, 'node_modules/diffengine');
    mkdirSync(join(installed, 'dist'), { recursive: true });
    symlinkSync(join(packageRoot, 'node_modules'), join(installed, 'node_modules'));
    copyFileSync(join(packageRoot, 'package.json'), join(installed, 'package.json'));
    for (const part of ['src', 'configs'])
      cpSync(join(packageRoot, 'dist', part), join(installed, 'dist', part), {
        recursive: true,
        filter: (file) => file.endsWith('.d.ts') || statSync(file).isDirectory(),
      });
    execFileSync(process.execPath, [resolve('scripts/link-component-types.mjs'), join(installed, 'dist')]); // the last step of a build
    writeFileSync(
      join(folder, 'wrong.ts'),
      [
        "import { defineConfig } from 'diffengine';",
        "import './loss_log_hook.js';",
        "export default defineConfig({ custom_hooks: { a: { type: 'VisualizationHok' } } });",
        "export const own = defineConfig({ custom_hooks: { a: { type: 'LossLogHook', intervall: 1 } } });",
      ].join('\n'),
    );
    const program = ts.createProgram([join(folder, 'my_config.ts'), join(folder, 'wrong.ts')], {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      target: ts.ScriptTarget.ES2022,
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      experimentalDecorators: true,
      typeRoots: [join(packageRoot, 'node_modules/@types')],
      types: ['node'],
    });
    const errors = ts
      .getPreEmitDiagnostics(program)
      .map(
        (d) => `${d.file?.fileName.slice(folder.length + 1)}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`,
      );
    t.match(errors, [
      /^wrong\.ts: Type '"VisualizationHok"' is not assignable to .*Did you mean '"VisualizationHook"'\?$/,
      /^wrong\.ts: .*'intervall' does not exist.*Did you mean to write 'interval'\?$/,
    ]);
    t.equal(errors.length, 2);
  },
);
