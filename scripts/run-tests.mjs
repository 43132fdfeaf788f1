// Runs the compiled tests with tap. What failed is said again at the end, where a log that was cut still has it; the last line
// says how many assertions passed and failed.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

// tap is installed with its TypeScript loader built in, which would load the configs of the tests in place of ours. Built
// without it (see `plugin` in .taprc), once per installation.
const builtIn = readFileSync('node_modules/@tapjs/test/test-built/dist/esm/index.js', 'utf8');
if (builtIn.includes('@tapjs/typescript')) spawnSync('npx', ['--no-install', 'tap', 'build'], { stdio: 'ignore' });

const tap = spawn('npx', ['--no-install', 'tap', ...process.argv.slice(2)], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise((resolve) => tap.on('close', (code) => resolve(code ?? 1)));
let last = '',
  file = '',
  failure = null;
const failures = [],
  DIAGNOSTICS = 40; // lines
for await (const line of createInterface({ input: tap.stdout })) {
  console.log(line);
  if (line.startsWith('# {')) last = line;
  file = /^# Subtest: (.*)/.exec(line)?.[1] ?? file;
  const indent = /^( *)not ok /.exec(line)?.[1];
  if (indent !== undefined) {
    failure = { file, lines: [], end: `${indent}  ...` };
    failures.push(failure);
  } else if (/^ *ok /.test(line)) failure = null;
  if (failure && failure.lines.length < DIAGNOSTICS) failure.lines.push(line);
  if (line === failure?.end) failure = null;
}
process.exitCode = await ended;
if (failures.length > 0) console.log('\nNot ok:');
for (const { file, lines } of failures) console.log(`${file}\n${lines.join('\n')}`);
const [, , passed = 0, failed = 0, skipped = 0] =
  /^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?(?:, skip: (\d+))?[^}]*\}/.exec(last) ?? [];
console.log(`${passed} passed, ${failed} failed${Number(skipped) > 0 ? `, ${skipped} skipped` : ''}`);
