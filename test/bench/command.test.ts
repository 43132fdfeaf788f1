import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { runChild, runForJson } from '../../bench/child.js';
import { parseOptions } from '../../bench/options.js';
import { Results } from '../../bench/results.js';

const main = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const bench = (...args: string[]) => spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' });

void t.test('--help shows examples, at once', async (t) => {
  const { status, stdout } = bench('--help');
  t.equal(status, 0);
  t.match(stdout, /Examples:\n {2}npm run bench -- --quick\n/);
});

for (const [args, message] of [
  [['--layouts', 'smal'], /^--layouts: unknown "smal"; known: sd15, small, /],
  [['--modes', 'lora,fast'], /^--modes: unknown "fast"; known: lora, full, sample, encode, decode, text\n$/],
  [['--sizes', '100'], /^--sizes: 100 is not a multiple of 64\n$/],
  [['--reps', '0'], /^--reps: expected a whole number of at least 1, got "0"\n$/],
  [['--job', '--growth'], /^--job, --growth: one at a time\n$/],
] as const) {
  void t.test(`bench ${args.join(' ')} is refused in one line`, async (t) => {
    const { status, stderr } = bench(...args);
    t.equal(status, 1);
    t.match(stderr, message);
  });
}

void t.test('--quick is small at 256 px, once; --growth has layouts of its own unless some are named', async (t) => {
  const quick = parseOptions(['--quick', '--out', 'x']);
  t.strictSame(
    [quick.layouts, quick.sizes, quick.batches, quick.pairs, quick.modes],
    [['small'], [256], [1], 1, ['lora', 'sample', 'encode', 'decode', 'text']],
  );
  t.strictSame(parseOptions(['--growth']).layouts, ['toyland', 'small']);
  t.strictSame(parseOptions(['--growth', '--layouts', 'tiny']).layouts, ['tiny']);
  t.strictSame(
    [parseOptions(['--soak']).soak, parseOptions(['--soak', '300']).soak, parseOptions([]).soak],
    [10000, 300, undefined],
  );
  t.strictSame(
    [parseOptions(['--job']).job, parseOptions(['--job', 'a', '--set', 'b=1', 'c=2']).set],
    [true, ['b=1', 'c=2']],
  );
});

void t.test('results: the file is whole after every row', async (t) => {
  const folder = t.testdir(),
    results = new Results<{ n: number }>(folder, 'growth', ['--growth'], new Date('2026-01-02T03:04:05Z'));
  await results.add({ n: 1 });
  const read = (): { kind: string; command: string; rows: unknown } => JSON.parse(readFileSync(results.path, 'utf8'));
  t.strictSame([read().kind, read().command, read().rows], ['growth', 'npm run bench -- --growth', [{ n: 1 }]]);
  await results.add({ n: 2 });
  t.strictSame(read().rows, [{ n: 1 }, { n: 2 }]);
  t.match(readdirSync(folder)[0], /^20260102T030405-\w+(-dirty)?-growth\.json$/);
  t.equal(readdirSync(folder).length, 1);
});

void t.test('a child gives the last line of its output as JSON; its last words are the error', async (t) => {
  const { signal } = new AbortController();
  t.strictSame(
    await runForJson(process.execPath, ['-e', 'console.log("noise\\n" + JSON.stringify({ a: 1 }))'], { signal }),
    { a: 1 },
  );
  await t.rejects(
    runChild(process.execPath, ['-e', 'console.error("first\\nno torch"); process.exit(3)'], { signal }),
    { message: /ended with code 3: no torch$/ },
  );
  await t.rejects(runChild('/no/such/program', [], { signal }), { code: 'ENOENT' });
});

void t.test('an interrupt ends the child', async (t) => {
  const interrupt = new AbortController(),
    start = performance.now();
  const running = runChild(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], {
    signal: interrupt.signal,
    started: () => interrupt.abort(new Error('stopped')),
  });
  await t.rejects(running, { message: 'stopped' });
  t.ok(performance.now() - start < 10_000);
  await t.rejects(runChild(process.execPath, [], { signal: interrupt.signal }), { message: 'stopped' });
});

void t.test('Ctrl-C keeps the rows that are done, and shows them', async (t) => {
  const out = t.testdir(),
    output: string[] = [];
  const child = spawn(process.execPath, [main, '--startup', '--reps', '1', '--force', '--out', out]),
    ended = once(child, 'close');
  child.stdout.on('data', (data: Buffer) => output.push(data.toString()));
  child.stderr.resume();
  while (!readdirSync(out).some((name) => name.endsWith('.json'))) {
    await new Promise((done) => setTimeout(done, 50));
    if (child.exitCode !== null) throw new Error('ended too early');
  }
  child.kill('SIGINT');
  t.strictSame(await ended, [130, null]);
  t.match(output.join(''), /^what +bar s +measured s .*\ndiffengine --help +0\.3 /);
  const [name, ...others] = readdirSync(out),
    { rows } = JSON.parse(readFileSync(join(out, name), 'utf8')) as { rows: unknown[] };
  t.equal(rows.length, 1);
  t.strictSame(others, [], 'nothing half written');
});
