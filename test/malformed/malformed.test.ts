/** Hundreds of malformed inputs, made anew from a seed: each is refused in one line, soon, and nothing is written. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { adapters } from './adapters.js';
import type { Report } from './batch.js';
import type { Case } from './case.js';
import { pictures, tables } from './data.js';
import { configs, headers } from './models.js';
import { options, typescript, yaml } from './texts.js';

t.setTimeout(900_000);

const MAX_MS = 10_000;
const cases: readonly Case[] = [headers, configs, pictures, tables, adapters, yaml, typescript, options].flatMap(
  (make) => [...make()],
);

const root = realpathSync(mkdtempSync(join(tmpdir(), 'diffengine-malformed-')));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
const folderOf = (i: number): string => join(root, String(i));
const filesOf = (i: number): string[] => readdirSync(folderOf(i), { recursive: true, encoding: 'utf8' }).sort();

for (const [i, { write }] of cases.entries()) {
  mkdirSync(folderOf(i));
  write(folderOf(i));
}
const before = cases.map((_, i) => filesOf(i));
const list = join(root, 'cases.json');
writeFileSync(list, JSON.stringify(cases.map(({ args }, i) => args.map((arg) => arg.replaceAll('{}', folderOf(i))))));

/** Runs the cases from `first` on; a case that ends or holds the process is reported, and the next begins with a new one. */
async function run(first: number): Promise<Map<number, Report>> {
  const found = new Map<number, Report>();
  for (let next = first; next < cases.length;) {
    const output = openSync(join(root, 'output.txt'), 'a');
    const child = spawn(process.execPath, [fileURLToPath(new URL('./batch.js', import.meta.url)), list, String(next)], {
      env: {
        ...process.env,
        NODE_OPTIONS: '',
        DIFFENGINE_CACHE: join(root, 'cache'),
        HF_HOME: join(root, 'hf'),
        HF_ENDPOINT: 'http://127.0.0.1:9',
      },
      stdio: ['ignore', output, output, 'pipe'],
    });
    let rest = '';
    let current = next;
    let watch: NodeJS.Timeout | undefined;
    const wait = (): void => {
      clearTimeout(watch);
      watch = setTimeout(() => child.kill('SIGKILL'), 6 * MAX_MS); // what is too slow fails below, by its own time
    };
    child.stdio[3]?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const report of lines.map((line) => JSON.parse(line) as Report)) {
        current = report.case;
        if (report.ms !== undefined) found.set(report.case, report);
        wait();
      }
    });
    wait();
    await new Promise((done) => child.on('close', done));
    clearTimeout(watch);
    closeSync(output);
    if (found.has(cases.length - 1)) break;
    if (!found.has(current))
      found.set(current, { case: current, error: 'Ended', message: 'the process ended or hung' });
    next = current + 1;
  }
  return found;
}

const reports = await run(0);

void t.test('there are at least 300 cases, each of another name', (t) => {
  t.ok(cases.length >= 300, String(cases.length));
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length);
  t.end();
});

void t.test('each is refused by a UserError of few lines, within ten seconds, and leaves nothing behind', (t) => {
  for (const [i, { name, opensWorkDir }] of cases.entries()) {
    const { error, message = '', stack = '', ms = Infinity } = reports.get(i) ?? { case: i };
    const problems = [
      ...(error === 'UserError'
        ? []
        : [`${error ?? 'no error'}: ${message} ${stack.split('\n').slice(1, 4).join(' ')}`]),
      ...(message.split('\n').length > 1 ? [`more than one line: ${message}`] : []),
      ...(message.length > 1000 ? [`${message.length} signs`] : []),
      ...(/\[object Object\]|(?<!throws )undefined|looks like a defect/.test(message) ? [`says ${message}`] : []),
      ...(ms > MAX_MS ? [`${Math.round(ms)} ms`] : []),
      ...filesOf(i)
        .filter((file) => !before[i].includes(file))
        .filter(
          (file) => !(opensWorkDir && /^work(\/(config\.yaml|environment\.json|[\d_]+\.log|log\.jsonl))?$/.test(file)),
        )
        .map((file) => `wrote ${file}`),
    ];
    if (problems.length > 0) t.fail(`${name}: ${problems.join('; ')}`);
    else t.pass(name);
  }
  t.end();
});
