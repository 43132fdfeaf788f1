/** The TypeScript of the documents compiles, in a project that installed the package. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { packageRoot } from '../../src/base/package-path.js';
import { codeOf, DOCUMENTS } from './documents.js';

t.setTimeout(300_000);
execFileSync(process.execPath, ['scripts/link-component-types.mjs', 'dist']); // the last step of a build; a bare tsc takes it back

/** A folder for each document. @returns the files */
function project(t: Test): { folder: string; files: string[] } {
  const folder = t.testdir({ 'package.json': '{ "name": "mine", "type": "module" }', node_modules: {} }),
    files: string[] = [];
  symlinkSync(packageRoot, join(folder, 'node_modules/diffengine'));
  for (const document of DOCUMENTS) {
    const root = join(folder, document.replaceAll(/\W/g, '_'));
    for (const [name, text] of Object.entries(codeOf(document))) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
      files.push(join(root, name));
      if (/^(src|tools)\//.test(name)) link(join(root, 'src'), join(packageRoot, 'dist/src'));
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
    // as `tsc --init` has it
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    verbatimModuleSyntax: true,
    isolatedModules: true,
    moduleDetection: ts.ModuleDetectionKind.Force,
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
