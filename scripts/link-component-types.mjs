// After tsc: makes the command line executable again (npm does so at installation only), and makes `import 'diffengine'` bring the types of every component, for configs in the user's projects.
// Components add themselves to the maps of src/registry/kinds.ts in their own files, which no barrel lists (see src/components.ts).
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const dist = process.argv[2] ?? 'dist',
  root = join(dist, 'src'),
  cli = join(dist, 'tools', 'cli.js');
if (existsSync(cli)) chmodSync(cli, 0o755);

const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .map((entry) => join(entry.parentPath, entry.name))
  .filter((file) => file.endsWith('.d.ts') && readFileSync(file, 'utf8').includes("/registry/kinds.js' {"))
  .map(
    (file) =>
      `import './${relative(root, file)
        .split(sep)
        .join('/')
        .replace(/\.d\.ts$/, '.js')}';`,
  )
  .sort();
const target = join(root, 'index.d.ts'),
  mark = '// the types of every component';
const [own] = readFileSync(target, 'utf8').split(mark);
writeFileSync(target, `${own.trimEnd()}\n${mark}\n${files.join('\n')}\n`);
