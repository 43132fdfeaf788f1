// What a stranger does: packs the package, installs it in an empty folder, and runs the first program of docs/api.md, which
// trains, draws and evaluates. It must print what the page shows, and exit by itself. Needs the npm registry.
//   npm run build && node scripts/try-package.mjs
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { packed, run } from './packed.mjs';

const { folder, tarball } = packed();

try {
  run(folder, ['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', tarball]);
  const [, name, text] = /^```js\n\/\/ (\S+)\n([^]*?)^```$/m.exec(readFileSync('docs/api.md', 'utf8'));
  writeFileSync(join(folder, name), text);
  const printed = run(folder, [process.execPath, name]);
  const shown = [...text.matchAll(/^\/\/ prints: (.*)\n/gm)].map(([, line]) => `${line}\n`).join('');
  if (printed !== shown) throw new Error(`${name} prints\n${printed}and docs/api.md shows\n${shown}`);
  for (const file of ['out/step2/unet/adapter_model.safetensors', 'dog.png', 'work_dirs/eval/out-step2/eval.json'])
    if (!existsSync(join(folder, file))) throw new Error(`${name} left no ${file}`);
  console.log(
    `${basename(tarball)}: installed in an empty folder, it trains, draws and evaluates, and exits by itself`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
