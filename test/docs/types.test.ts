/** The TypeScript of the documents compiles, in a project that installed the package. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { packageRoot } from '../../src/base/package-path.js';
import { codeOf, DOCUMENTS } from './documents.js';

t.setTimeout(300_000);

/** Only declarations, as `npm install` brings them; a folder for each document. @returns the files */
function project(t: Test): { folder: string; files: string[] } {
  const folder = t.testdir({ 'package.json': '{ "name": "mine" }' }),
    installed = join(folder, 'node_modules/diffengine'),
    files: string[] = [];
  mkdirSync(join(installed, 'dist'), { recursive: true });
  symlinkSync(join(packageRoot, 'node_modules'), join(installed, 'node_modules'));
  copyFileSync(join(packageRoot, 'package.json'), join(installed, 'package.json'));
  for (const part of ['src', 'configs'])
    cpSync(join(packageRoot, 'dist', part), join(installed, 'dist', part), {
      recursive: true,
      filter: (file) => file.endsWith('.d.ts') || statSync(file).isDirectory(),
    });
  execFileSync(process.execPath, [resolve('scripts/link-component-types.mjs'), join(installed, 'dist')]); // the last step of a build
  for (const document of DOCUMENTS) {
    const root = join(folder, document.replaceAll(/\W/g, '_'));
    for (const [name, text] of Object.entries(codeOf(document))) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
      files.push(join(root, name));
      if (/^(src|tools)\//.test(name)) link(join(root, 'src'), join(installed, 'dist/src'));
    }
  }
  return { folder, files };
}

/** A file of the package imports its neighbours, and what it needs. */
function link(from: string, to: string): void {
  try {
    symlinkSync(to, from);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

void t.test("tsc takes every example, knows the package's components and one's own, and sees mistakes", async (t) => {
  const { folder, files } = project(t);
  t.ok(files.length > 15, `${files.length} files`);
  const hook = files.find((file) => file.endsWith('loss_log_hook.ts')) as string,
    wrong = join(dirname(hook), 'wrong.ts');
  writeFileSync(
    wrong,
    [
      "import { defineConfig } from 'diffengine';",
      "import './loss_log_hook.js';",
      "export default defineConfig({ custom_hooks: { a: { type: 'VisualizationHok' } } });",
      "export const own = defineConfig({ custom_hooks: { a: { type: 'LossLogHook', intervall: 1 } } });",
    ].join('\n'),
  );
  const program = ts.createProgram([...files, wrong], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    experimentalDecorators: true,
    typeRoots: [join(packageRoot, 'node_modules/@types')],
    types: ['node'],
    baseUrl: folder,
    paths: { commander: [join(packageRoot, 'node_modules/commander')] }, // for a command of the package itself
  });
  const errors = ts
    .getPreEmitDiagnostics(program)
    .map(
      (d) => `${d.file?.fileName.slice(folder.length + 1)}: ${ts.flattenDiagnosticMessageText(d.messageText, ' ')}`,
    );
  t.equal(errors.length, 2, errors.join('\n'));
  t.match(errors, [
    /wrong\.ts: Type '"VisualizationHok"' is not assignable to .*Did you mean '"VisualizationHook"'\?$/,
    /wrong\.ts: .*'intervall' does not exist.*Did you mean to write 'interval'\?$/,
  ]);
});
