// Runs the compiled tests with tap and ends with one line that says how many assertions passed and failed.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

// tap is installed with its TypeScript loader built in, which would load the configs of the tests in place of ours. Built
// without it (see `plugin` in .taprc), once per installation.
const builtIn = readFileSync('node_modules/@tapjs/test/test-built/dist/esm/index.js', 'utf8');
if (builtIn.includes('@tapjs/typescript')) spawnSync('npx', ['--no-install', 'tap', 'build'], { stdio: 'ignore' });

const tap = spawn('npx', ['--no-install', 'tap', ...process.argv.slice(2)], { stdio: ['ignore', 'pipe', 'inherit'] });
let tail = '';
tap.stdout.on('data', (chunk) => {
  process.stdout.write(chunk);
  tail = (tail + chunk).slice(-4000);
});
tap.on('close', (code) => {
  const summary = [
    ...tail.matchAll(/# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, skip: (\d+))?[^}]*\}/g),
  ].pop();
  const [, , passed = 0, failed = 0, skipped = 0] = summary ?? [];
  console.log(`${passed} passed, ${failed} failed${Number(skipped) > 0 ? `, ${skipped} skipped` : ''}`);
  process.exitCode = code ?? 1;
});
