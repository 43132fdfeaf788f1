import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import t from 'tap';
import ts from 'typescript';
import { codeOf } from './documents.js';
import { readMarkdown } from './markdown.js';
import { runDocument, TIMEOUT } from './run-document.js';

t.setTimeout(TIMEOUT);
void t.test('CONTRIBUTING.md: what it says to type runs, and prints what it shows', (t) =>
  runDocument(t, 'CONTRIBUTING.md'),
);

void t.test('CONTRIBUTING.md: its command, put into tools/commands, does its work', async (t) => {
  const name = 'tools/commands/tokens.ts',
    folder = t.testdir({ 'package.json': '{ "type": "module" }' });
  symlinkSync(resolve('dist/src'), join(folder, 'src'));
  mkdirSync(join(folder, 'tools/commands'), { recursive: true });
  const { outputText } = ts.transpileModule(codeOf('CONTRIBUTING.md')[name], {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true },
  });
  const file = join(folder, name.replace('.ts', '.js'));
  writeFileSync(file, outputText);
  const program = new Command();
  ((await import(pathToFileURL(file).href)) as { register(program: Command): void }).register(program);
  const lines: unknown[] = [];
  t.intercept(console, 'log', { value: (line: unknown) => lines.push(line) });
  await program.parseAsync(['tokens', 'a photo of sks dog', resolve('assets/tiny-random-sd')], { from: 'user' });
  t.match(lines.join('\n'), /^659 320 518 519 521 523( 660){71}$/);
});

void t.test('CONTRIBUTING.md: the table of rooms has the floors of the linter, in their order', async (t) => {
  const { FLOORS } = (await import(pathToFileURL(resolve('.dependency-cruiser.mjs')).href)) as { FLOORS: string[] };
  const [, layout] = /\n## Layout\n([^]*?)\n## /.exec(readMarkdown('CONTRIBUTING.md').source) ?? [];
  t.strictSame(
    [...layout.matchAll(/^\| `([\w.]+)\/?` \| \S/gm)].map(([, room]) => room),
    FLOORS,
  );
});
