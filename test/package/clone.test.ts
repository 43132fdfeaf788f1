/** What `npm ci` does in a fresh clone: nothing but the registry is asked, and npm has nothing to warn of. */
import { readFileSync } from 'node:fs';
import t from 'tap';

interface Locked {
  readonly hasInstallScript?: boolean;
}

void t.test('package-lock.json runs no install script: onnxruntime-node would fetch CUDA libraries', (t) => {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> };
  const scripted = Object.entries(packages).flatMap(([path, { hasInstallScript }]) => (hasInstallScript ? [path] : []));
  // npm writes the mark again when the version changes. Look at what the script does; if all works without, delete the mark.
  t.strictSame(scripted, []);
  t.ok(packages['node_modules/onnxruntime-node'], 'the lock still holds the package');
  t.end();
});

void t.test('.npmrc holds only settings that npm knows: others are warned of before every command', (t) => {
  const keys = [...readFileSync('.npmrc', 'utf8').matchAll(/^([\w-]+)\s*=/gm)].map(([, key]) => key);
  t.strictSame(keys, ['engine-strict']);
  t.end();
});
