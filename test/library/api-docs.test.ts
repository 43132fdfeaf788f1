/** docs/api.md: every program runs, from its own text, in the order of the page, and prints what the page says. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import t from 'tap';
import { ERROR_CODES } from '../../src/index.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const page = readFileSync('docs/api.md', 'utf8');
const programs = [...page.matchAll(/^```js\n\/\/ (\S+)\n([^]*?)^```$/gm)].map(([, name, text]) => ({ name, text }));
const project = Project.create(t, {});
project.installPackage();

async function run(name: string): Promise<{ printed: string; said: string }> {
  const { NODE_OPTIONS: _runner, ...shell } = process.env;
  const env = { ...shell, DIFFENGINE_CACHE: project.file('.cache'), HF_ENDPOINT: 'http://127.0.0.1:9' };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [name], { cwd: project.path, env });
  return { printed: stdout, said: stderr };
}

void t.test('there are seven programs, each with a name', async (t) => {
  t.equal(programs.length, 7);
  t.equal(programs.length, page.split('```js').length - 1);
});

for (const { name, text } of programs)
  void t.test(`${name} runs, prints what the page says, and exits by itself`, async (t) => {
    writeFileSync(project.file(name), text);
    const shown = [...text.matchAll(/^\/\/ prints: (.*)\n/gm)].map(([, line]) => `${line}\n`).join('');
    t.strictSame(await run(name), { printed: shown, said: '' });
  });

void t.test('the first program is ten lines, and leaves a checkpoint, a picture and an evaluation', async (t) => {
  const lines = programs[0].text.split('\n').filter((line) => line !== '' && !/^(\/\/|import )/.test(line));
  t.equal(lines.length, 10);
  for (const file of ['out/step2/unet/adapter_model.safetensors', 'dog.png', 'work_dirs/eval/out-step2/eval.json'])
    t.ok(existsSync(project.file(file)), file);
});

void t.test('the page lists every code of UserError, in order, with its meaning', async (t) => {
  const rows = [...page.matchAll(/^\| `([A-Z_]+)` \| (.*) \|$/gm)].map(([, code, meaning]) => [code, meaning]);
  t.strictSame(rows, Object.entries(ERROR_CODES));
});
