/** The published types of options, which scripts/link-component-types.mjs writes, against what the schemas say to TypeScript. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import ts from 'typescript';
import { loadComponents } from '../../src/components.js';
import { allRegistries } from '../../src/registry/registry.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000); // the compiler and npm, beside other tests
execFileSync(process.execPath, ['scripts/link-component-types.mjs', 'dist']); // the last step of a build; a bare tsc takes it back
await loadComponents();

/** class name -> its d.ts file */
const declared = new Map<string, string>();
for (const entry of readdirSync('dist/src', { recursive: true, withFileTypes: true })) {
  const file = resolve(entry.parentPath, entry.name);
  if (!file.endsWith('.d.ts')) continue;
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^export declare class (\w+)/gm))
    declared.set(name, file.replace(/\.d\.ts$/, '.js'));
}

void t.test('the published options of every component are those of its schema', (t) => {
  const lines = allRegistries().flatMap((registry) =>
    registry.names().map((name) => {
      const file = declared.get(registry.get(name)?.name ?? '');
      if (file === undefined) throw new Error(`${name}: no declaration found`);
      return `export const ${name}: Same<Input<typeof import('${file}').${registry.get(name)?.name}.options>, Published.${name}Options> = true;`;
    }),
  );
  t.ok(lines.length > 50, `${lines.length} components`);
  const head = `import type { Input } from '${resolve('dist/src/registry/schema.js')}'; import type * as Published from '${resolve('dist/src/component-types.js')}';
type Same<A, B> = [A, B] extends [B, A] ? true : { schema: A; published: B };`;
  const project = Project.create(t, {
    'same.ts': `${head}\n${lines.join('\n')}\nexport const wrong: Same<{ a: 1 }, { a: 2 }> = true;`,
  });
  const program = ts.createProgram([project.file('same.ts')], {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [resolve('node_modules/@types')],
  });
  const wrong = ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
    const at = file?.text.slice(start).match(/^\w+/)?.[0] ?? '';
    return at === 'wrong' ? at : `${at}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
  t.strictSame(wrong, ['wrong'], 'nothing but the planted difference');
  t.match(
    readFileSync(join('dist', 'src', 'component-types.d.ts'), 'utf8'),
    'iterations between pictures; -1: none on the way (default: 100)',
  );
  t.end();
});
