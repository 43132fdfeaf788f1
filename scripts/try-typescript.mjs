// What a framework author does: installs the packed package beside a TypeScript, takes the tsconfig.json of `tsc --init`,
// saves the examples of CONTRIBUTING.md and README.md, and compiles: with standard decorators and with legacy ones, with
// skipLibCheck and without. Needs the npm registry; without it, it says so and ends well.
//   npm run build && node scripts/try-typescript.mjs [version of TypeScript ...]
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { packed, registryAnswers, run } from './packed.mjs';

if (!registryAnswers()) {
  console.log('TypeScript: not tried, the npm registry does not answer');
  process.exit(0);
}
const versions = process.argv.length > 2 ? process.argv.slice(2) : ['5.9.3', 'latest'];
const { folder: root, tarball } = packed();

/** The TypeScript of a document that a reader saves in a project of one's own, by file name. */
function examples(document) {
  const source = readFileSync(document, 'utf8');
  return [...source.matchAll(/^([^\n]*)\n\n?```ts\n([^]*?)^```$/gm)]
    .map(([, before, text]) => [/^\/\/ (\S+)$/m.exec(text)?.[1] ?? /`(\w+\.ts)`/.exec(before)?.[1] ?? '', text])
    .filter(([name]) => !/^(src|tools)\//.test(name));
}

try {
  for (const version of versions) {
    const folder = join(root, version);
    mkdirSync(folder);
    writeFileSync(join(folder, 'package.json'), '{ "name": "mine", "type": "module" }');
    const wanted = [tarball, `typescript@${version}`, '@types/node@20'];
    run(folder, ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted]);
    const tsc = (...options) => run(folder, ['npx', 'tsc', ...options]);
    tsc('--init');
    const config = join(folder, 'tsconfig.json');
    writeFileSync(config, readFileSync(config, 'utf8').replace('"types": []', '"types": ["node"]')); // as CONTRIBUTING.md says
    const files = ['CONTRIBUTING.md', 'README.md'].flatMap(examples);
    if (files.length < 15 || files.some(([name]) => name === ''))
      throw new Error(`not the examples: ${files.map(([name]) => name).join(', ')}`);
    for (const [name, text] of files) writeFileSync(join(folder, name), text);
    const used = tsc('--version').trim().replace('Version', 'TypeScript');
    for (const decorators of ['false', 'true'])
      for (const skip of ['true', 'false']) {
        const options = ['--experimentalDecorators', decorators, '--skipLibCheck', skip];
        try {
          tsc('--noEmit', ...options);
          console.log(`${used} ${options.join(' ')}: ${files.length} examples compile`);
        } catch (error) {
          process.exitCode = 1;
          console.log(`${used} ${options.join(' ')}: FAILS: ${error.message}`);
        }
      }
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
