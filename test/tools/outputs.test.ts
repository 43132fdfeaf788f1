/** Commands and what stands in the place of their output: the machine's devices are never touched here. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { makeDevice, makeFifo, standing } from '../fixtures/base/nodes.js';
import { Project, refuses, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const linux = process.platform === 'linux' ? false : 'needs Linux';
const MODEL = resolve('assets/tiny-random-sd');
const DEMO = ['demo', 'x', MODEL, '--steps', '1', '--height', '64', '--width', '64'];
const PNG = '89504e470d0a1a0a';

void t.test('demo and export-lora leave a device of our own as it is', async (t) => {
  const project = Project.create(t);
  if (!makeDevice(project.file('null'), 'null'))
    return t.pass('a device', { skip: 'runs where mknod makes a device: as root, with CAP_MKNOD' });
  const before = standing(project.file('null'));
  t.equal((await project.run([...DEMO, '--out', 'null'])).code, 0);
  t.equal(standing(project.file('null')), before);
  t.equal((await project.run(['train', 'my.yaml', '--cfg-options', 'train_cfg.max_iters=1'])).code, 0);
  const exported = await project.run(['export-lora', MODEL, 'work_dirs/my', '--out', 'null']);
  t.equal(exported.code, 0, exported.err);
  t.equal(standing(project.file('null')), before);
  t.equal((await project.run(['copy-cfg', 'tiny_sd_dreambooth_lora_dog', 'null', '--force'])).code, 0);
  t.equal(standing(project.file('null')), before);
  t.equal(
    (await project.run([...DEMO, '--out', 'null', '--n', '2'])).err,
    'diffengine: --out null: not a file, so that the 2 pictures have no place beside it; leave --n out, or give a file name\n',
  );
  t.notOk(existsSync(project.file('null-0')));
  makeDevice(project.file('disk'), 'disk');
  for (const args of [
    [...DEMO, '--out', 'disk'],
    ['export-lora', MODEL, 'work_dirs/my', '--out', 'disk'],
  ]) {
    const { code, err } = await project.run(args);
    t.equal(code, 1);
    t.equal(err, 'diffengine: disk: a disk device, which is not written over; choose another name for the output\n');
  }
  for (const command of ['merge-lora', 'export-lora']) {
    const format = command === 'export-lora' ? ['--format', 'peft'] : [];
    const { code, err } = await project.run([command, MODEL, 'work_dirs/my', ...format, '--out', 'null']);
    t.equal(code, 1, command);
    t.notMatch(err, /looks like a defect|\n\s+at /);
  }
  t.equal(standing(project.file('null')), before);
});

void t.test(
  'demo writes a picture into a pipe, and to standard output without a line between',
  { skip: linux },
  async (t) => {
    const project = Project.create(t, {});
    makeFifo(project.file('pipe'));
    const reader = spawn('cat', [project.file('pipe')]);
    const chunks: Buffer[] = [];
    reader.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = new Promise((done) => reader.on('close', done));
    t.equal((await project.run([...DEMO, '--out', 'pipe'])).code, 0);
    await ended;
    t.equal(Buffer.concat(chunks).subarray(0, 8).toString('hex'), PNG);
    t.match(standing(project.file('pipe')), /^isFIFO/);

    const file = openSync(project.file('out.png'), 'w');
    const child = spawn(process.execPath, [resolve('dist/tools/cli.js'), ...DEMO, '--out', '/dev/stdout'], {
      cwd: project.path,
      stdio: ['ignore', file, 'pipe'],
    });
    let err = '';
    child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()));
    t.equal(await new Promise((done) => child.on('close', done)), 0);
    t.match(err, 'wrote /dev/stdout\n');
    const bytes = readFileSync(project.file('out.png'));
    t.equal(bytes.subarray(0, 8).toString('hex'), PNG);
    t.equal(bytes.subarray(-8, -4).toString('latin1'), 'IEND', 'nothing after the picture');
  },
);

void t.test('demo: a link stays, and the file behind it is the picture', async (t) => {
  const project = Project.create(t, { 'real.png': 'old' });
  symlinkSync('real.png', project.file('link.png'));
  t.equal((await project.run([...DEMO, '--out', 'link.png'])).code, 0);
  t.match(standing(project.file('link.png')), /^isSymbolicLink/);
  t.equal(readFileSync(project.file('real.png')).subarray(0, 8).toString('hex'), PNG);
});

void t.test('an output that cannot be written is refused before any work', async (t) => {
  const project = Project.create(t, { file: 'x', 'full/a': '' });
  const bad = resolve('/nonexistent-model');
  for (const [args, message] of [
    [['demo', 'x', bad, '--out', 'full'], 'full: a folder, not a file; choose another name for the output'],
    [['merge-lora', bad, bad, '--out', 'full'], './full: exists and is not empty; choose another folder or remove it'],
    [
      ['merge-lora', bad, bad, '--out', 'file'],
      './file: cannot be used (ENOTDIR), for it is no folder; choose another folder',
    ],
    [['compress', bad, '--out', 'full'], './full: exists and is not empty; choose another folder or remove it'],
    [['export-pipeline', bad, '--out', 'full'], './full: exists and is not empty; choose another folder or remove it'],
    [['convert', bad, '--out', 'full'], './full: exists and is not empty; choose another folder or remove it'],
    [['make-model', 'tiny', '--out', 'full'], './full: exists and is not empty; choose another folder or remove it'],
  ] as const)
    refuses(t, project, await project.run(args), message);
  t.strictSame(project.files(), ['file', 'full', 'full/a']);
});

void t.test('train: a link or file in the place of a checkpoint is refused before training', async (t) => {
  const project = Project.create(t, { 'my.yaml': SMALL_CONFIG, 'elsewhere/keep': 'me', 'out/note': '' });
  symlinkSync('../elsewhere', project.file('out/step1'));
  const { code, err } = await project.run(['train', 'my.yaml', '--work-dir', 'out']);
  t.equal(code, 1);
  t.equal(
    err.replaceAll(project.path, '.'),
    'diffengine: ./out/step1: is there and is a symbolic link, where a checkpoint goes; move it away\n',
  );
  t.strictSame(readdirSync(project.file('elsewhere')), ['keep']);
  writeFileSync(project.file('out/step0'), 'mine');
  t.match((await project.run(['train', 'my.yaml', '--work-dir', 'out'])).err, /step0: is there and is no folder/);
  t.equal(readFileSync(project.file('out/step0'), 'utf8'), 'mine');
});
