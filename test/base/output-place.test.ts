/** What stands in the place of an output and is no regular file is written through or refused, never replaced. */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { writeFolderAtomic } from '../../src/base/atomic-folder.js';
import { makeFolder, outputPlace } from '../../src/base/output-place.js';
import { WorkDir } from '../../src/engine/work-dir.js';
import { makeDevice, makeFifo, makeSocket, standing } from '../fixtures/base/nodes.js';

const linux = process.platform === 'linux' ? false : 'needs Linux';

void t.test('a symbolic link stays, and the file behind it is replaced, even over two links', async (t) => {
  const dir = t.testdir({ real: { 'a.txt': 'old' } });
  symlinkSync('real/a.txt', join(dir, 'first'));
  symlinkSync(join(dir, 'first'), join(dir, 'second'));
  await writeFileAtomic(join(dir, 'second'), 'new');
  t.equal(readFileSync(join(dir, 'real/a.txt'), 'utf8'), 'new');
  t.match(standing(join(dir, 'first')), /^isSymbolicLink/);
  t.match(standing(join(dir, 'second')), /^isSymbolicLink/);
  t.strictSame(readdirSync(dir).sort(), ['first', 'real', 'second'], 'nothing aside is left');
  t.strictSame(readdirSync(join(dir, 'real')), ['a.txt']);
});

void t.test('a link to a file that is not there yet makes that file; links in a circle are refused', async (t) => {
  const dir = t.testdir();
  symlinkSync('later/b.txt', join(dir, 'dangling'));
  await writeFileAtomic(join(dir, 'dangling'), 'made');
  t.equal(readFileSync(join(dir, 'later/b.txt'), 'utf8'), 'made');
  t.match(standing(join(dir, 'dangling')), /^isSymbolicLink/);
  symlinkSync('one', join(dir, 'two'));
  symlinkSync('two', join(dir, 'one'));
  await t.rejects(writeFileAtomic(join(dir, 'one'), 'x'), {
    name: 'UserError',
    message: `${join(dir, 'one')}: a symbolic link that leads in a circle; choose another name for the output`,
  });
});

void t.test('a named pipe gets the bytes and stays a pipe', { skip: linux }, async (t) => {
  const pipe = join(t.testdir(), 'pipe');
  makeFifo(pipe);
  const before = standing(pipe);
  const reader = spawn('cat', [pipe]);
  let got = '';
  reader.stdout.on('data', (chunk: Buffer) => (got += chunk.toString()));
  const ended = new Promise((done) => reader.on('close', done));
  await writeFileAtomic(pipe, async (file) => {
    await file.write(Buffer.from('one '));
    await file.write(Buffer.from('x'.repeat(200_000)));
  });
  await ended;
  t.equal(got, `one ${'x'.repeat(200_000)}`);
  t.equal(standing(pipe), before);
});

void t.test('a named pipe that nobody reads is refused after a few seconds', { skip: linux }, async (t) => {
  const pipe = join(t.testdir(), 'pipe');
  makeFifo(pipe);
  await t.rejects(writeFileAtomic(pipe, 'x'), {
    name: 'UserError',
    message: `${pipe}: a pipe that nobody reads; start its reader first`,
  });
  t.match(standing(pipe), /^isFIFO/);
});

void t.test('sockets and folders are refused by name', { skip: linux }, async (t) => {
  const dir = t.testdir({ folder: {} });
  await makeSocket(t, join(dir, 's'));
  for (const [name, what] of [
    ['s', 'a socket, which cannot be opened for writing'],
    ['folder', 'a folder, not a file'],
    ['folder/', 'a folder, by its last sign'],
  ]) {
    const path = `${dir}/${name}`;
    await t.rejects(writeFileAtomic(path, 'x'), {
      name: 'UserError',
      message: `${path}: ${what}; choose another name for the output`,
    });
  }
  t.match(standing(join(dir, 's')), /^isSocket/);
  t.strictSame(readdirSync(dir).sort(), ['folder', 's']);
});

void t.test('a null device takes the bytes and stays; disks and memory are refused', async (t) => {
  const dir = t.testdir(),
    device = join(dir, 'null');
  if (!makeDevice(device, 'null'))
    return t.pass('a device', { skip: 'runs where mknod makes a device: as root, with CAP_MKNOD' });
  const before = standing(device);
  await writeFileAtomic(device, 'swallowed');
  t.equal(standing(device), before);
  symlinkSync(device, join(dir, 'link'));
  await writeFileAtomic(join(dir, 'link'), 'swallowed');
  t.equal(standing(device), before);
  for (const [kind, what] of [
    ['disk', 'a disk device, which is not written over'],
    ['mem', 'a device, which is not written to; a terminal or /dev/null would be'],
  ] as const) {
    makeDevice(join(dir, kind), kind);
    await t.rejects(writeFileAtomic(join(dir, kind), 'x'), {
      message: `${join(dir, kind)}: ${what}; choose another name for the output`,
    });
  }
  t.strictSame(readdirSync(dir).sort(), ['disk', 'link', 'mem', 'null']);
});

void t.test('an open file of this process is written through: the shell holds it', { skip: linux }, async (t) => {
  const dir = t.testdir(),
    handle = openSync(join(dir, 'a'), 'w');
  await writeFileAtomic(`/proc/self/fd/${handle}`, 'through');
  closeSync(handle);
  t.equal(readFileSync(join(dir, 'a'), 'utf8'), 'through');
  t.strictSame(await outputPlace('/dev/stdout'), { kind: 'stream', path: '/proc/self/fd/1' });
});

void t.test('a file in a place where no folder can be made is refused at once', { skip: linux }, async (t) => {
  await t.rejects(writeFileAtomic('/proc/nothing/a.png', 'x'), {
    message: /^\/proc\/nothing\/a\.png: cannot be written/,
  });
  await t.rejects(makeFolder('/proc/nothing/deep'), { code: 'ENOENT' });
});

void t.test('a folder output: a link to an empty folder stays, whatever else is there is refused', async (t) => {
  const dir = t.testdir({ empty: {}, full: { a: '' }, file: 'x' });
  symlinkSync('empty', join(dir, 'link'));
  const write = async (folder: string): Promise<void> => writeFileSync(join(folder, 'b'), 'b');
  await writeFolderAtomic(join(dir, 'link'), write);
  t.match(standing(join(dir, 'link')), /^isSymbolicLink/);
  t.equal(readFileSync(join(dir, 'empty/b'), 'utf8'), 'b');
  symlinkSync('new/deep', join(dir, 'dangling'));
  mkdirSync(join(dir, 'new'));
  await writeFolderAtomic(join(dir, 'dangling'), write);
  t.equal(readFileSync(join(dir, 'new/deep/b'), 'utf8'), 'b');
  await t.rejects(writeFolderAtomic(join(dir, 'file'), write), {
    message: /file: cannot be used \(ENOTDIR\), for it is no folder; choose/,
  });
  await t.rejects(writeFolderAtomic(join(dir, 'full'), write), { message: /full: exists and is not empty/ });
  t.strictSame(readdirSync(dir).sort(), ['dangling', 'empty', 'file', 'full', 'link', 'new']);
});

void t.test('a work dir with a pipe for a lock is refused, and the pipe stays', { skip: linux }, async (t) => {
  const dir = t.testdir();
  makeFifo(join(dir, '.lock'));
  await t.rejects(WorkDir.open(dir), {
    message: `${join(dir, '.lock')}: is there and is no regular file, so it is no lock of a run; move it away`,
  });
  t.ok(existsSync(join(dir, '.lock')));
  t.match(standing(join(dir, '.lock')), /^isFIFO/);
});
