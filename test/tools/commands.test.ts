/** Help of every command, and a copied config trained as a user would. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { edit, Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

void t.test('--help: of every command exits 0 and shows an example', async (t) => {
  const project = Project.create(t, {});
  const { out } = await project.run(['--help']);
  const tooLong = (help: string): string[] => help.split('\n').filter((line) => line.length > 80);
  t.strictSame(tooLong(out), [], 'fits 80 columns');
  const [, listed] = /\nCommands:\n([^]+?)\n\n/.exec(out) as RegExpExecArray;
  const commands = [...listed.matchAll(/^ {2}([a-z][\w-]+) /gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'help');
  for (const known of ['train', 'demo', 'demo_lora', 'list-cfg', 'copy-cfg', 'describe', 'convert'])
    t.ok(commands.includes(known), known);
  for (const name of commands) {
    const { code, out, err } = await project.run([name, '--help']);
    t.strictSame([code, err], [0, ''], name);
    t.match(out, new RegExp(`Examples?:\n  diffengine ${name}[ \n]`), `${name} shows an example`);
    t.match(out, /^ {2}--debug /m, `${name} knows --debug`);
    t.strictSame(tooLong(out.replace(/^Examples?:[^]*/m, '')), [], `${name}: fits 80 columns`);
  }
});

void t.test('copy-cfg: the copy trains in a project of the user', async (t) => {
  const project = Project.create(t, { 'package.json': '{"name":"mine"}' });
  project.installPackage();
  t.strictSame(await project.run(['copy-cfg', 'tiny_random_sd_dreambooth_lora_dog', 'my_dog.ts']), {
    code: 0,
    out: 'my_dog.ts\nnext: npx diffengine train my_dog.ts\n',
    err: '',
  });
  t.match(readFileSync(project.file('my_dog.ts'), 'utf8'), /^import \{ defineConfig \} from 'diffengine';$/m);
  edit(project.file('my_dog.ts'), 'max_iters: 40', 'max_iters: 1');
  const quick = [
    'custom_hooks.preview=null',
    'train_dataloader.dataset.class_prompt=null',
    'train_dataloader.batch_size=1',
  ];
  const { code, out, err } = await project.run(['train', 'my_dog.ts', '--cfg-options', ...quick]);
  t.strictSame([code, err], [0, '']);
  t.match(out, /done: work_dirs\/my_dog\/step0\/unet\/adapter_model\.safetensors/);
});

void t.test('a closed pipe ends the output, not the command', async (t) => {
  const child = spawn(
    process.execPath,
    [join('dist', 'tools', 'cli.js'), 'describe', 'small_sd_dreambooth_lora_dog', '--explain'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  child.stdout.destroy();
  let err = '';
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  const code = await new Promise((closed) => child.on('close', closed));
  t.strictSame([code, err], [0, '']);
});
