import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readable, WorkDir } from '../../src/engine/work-dir.js';
import { changedOptions } from '../../src/engine/config-changes.js';

const lockOf = (folder: string): string => join(folder, '.lock');

void t.test('a work dir is created with its parents and unlocked when it is closed', async (t) => {
  const path = join(t.testdir(), 'a', 'b');
  const dir = await WorkDir.open(path);
  t.equal((JSON.parse(readFileSync(lockOf(path), 'utf8')) as { pid: number }).pid, process.pid);
  t.equal(dir.step(999), join(path, 'step999'));
  await dir.close();
  t.notOk(existsSync(lockOf(path)));
});

void t.test('a second run in the same work dir is refused, naming the process that has it', async (t) => {
  const path = t.testdir();
  const dir = await WorkDir.open(path);
  await t.rejects(WorkDir.open(path), { message: new RegExp(`in use by another run \\(process ${process.pid} on`) });
  await dir.close();
  await (await WorkDir.open(path)).close();
});

void t.test('the lock of a killed process is taken over', async (t) => {
  const path = t.testdir();
  const child: ChildProcess = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
  writeFileSync(
    lockOf(path),
    JSON.stringify({ pid: child.pid, host: hostname(), started: statStart(child.pid as number) }),
  );
  await t.rejects(WorkDir.open(path), { message: new RegExp(`process ${child.pid}`) });
  child.kill('SIGKILL');
  await once(child, 'exit');
  await (await WorkDir.open(path)).close();
});

void t.test(
  'the lock of another process with the same id is taken over',
  { skip: existsSync('/proc/self/stat') ? false : 'no /proc' },
  async (t) => {
    const path = t.testdir({ '.lock': JSON.stringify({ pid: process.pid, host: hostname(), started: '1' }) });
    await (await WorkDir.open(path)).close();
  },
);

void t.test('the lock of another host is respected', async (t) => {
  const path = t.testdir({ '.lock': JSON.stringify({ pid: 1, host: 'elsewhere', started: '' }) });
  await t.rejects(WorkDir.open(path), { message: /process 1 on elsewhere/ });
});

void t.test('a torn lock file does not lock anybody out', async (t) => {
  const path = t.testdir({ '.lock': '{"pid": 12' });
  await (await WorkDir.open(path)).close();
});

void t.test('what a killed process was writing is removed, and what it was replacing comes back', async (t) => {
  const path = t.testdir({
    '.tmp-step9': { 'run.json': '{' },
    'last_checkpoint.1-ab.tmp': 'st',
    '.old-step4': { 'run.json': '4' },
    '.old-step5': { 'run.json': 'old' },
    step5: { 'run.json': 'new' },
  });
  await (await WorkDir.open(path)).close();
  t.notOk(existsSync(join(path, '.tmp-step9')));
  t.notOk(existsSync(join(path, 'last_checkpoint.1-ab.tmp')));
  t.equal(readFileSync(join(path, 'step4', 'run.json'), 'utf8'), '4');
  t.equal(readFileSync(join(path, 'step5', 'run.json'), 'utf8'), 'new');
  t.notOk(existsSync(join(path, '.old-step5')));
});

void t.test('a path that leads through a file is an error the user can read', async (t) => {
  const path = join(t.testdir({ file: '' }), 'file', 'run');
  await t.rejects(WorkDir.open(path), {
    name: 'UserError',
    message: `${path}: cannot be written: a part of the path is a file; choose another place with --work-dir`,
  });
});

void t.test(
  'a place where no folder can be made is an error the user can read',
  { skip: existsSync('/proc/self') ? false : 'no /proc' },
  async (t) => {
    await t.rejects(WorkDir.open('/proc/run'), {
      name: 'UserError',
      message: /^\/proc\/run: cannot be written: no folder can be made there/,
    });
  },
);

void t.test('a full and a read-only disk are errors the user can read', async (t) => {
  const failed = (code: string): unknown => readable(Object.assign(new Error(code), { code }), '/runs/a');
  t.match(failed('ENOSPC'), {
    name: 'UserError',
    message: '/runs/a: cannot be written: the disk is full; free some space, or choose another place with --work-dir',
  });
  t.match(failed('EROFS'), {
    name: 'UserError',
    message: '/runs/a: cannot be written: the file system is read-only; choose another place with --work-dir',
  });
});

void t.test(
  'changed options: what changes the numbers is listed with its path, hooks that look on are not',
  async (t) => {
    const before = {
      optim_wrapper: { optimizer: { type: 'AdamW', lr: 0.1 } },
      work_dir: 'a',
      train_cfg: { max_iters: 10 },
      default_hooks: { logger: { type: 'LoggerHook', interval: 1 } },
      custom_hooks: { ema: { type: 'EMAHook', momentum: 0.1 } },
    };
    const after = {
      optim_wrapper: { optimizer: { type: 'AdamW', lr: 0.2 }, accumulative_counts: 2 },
      work_dir: 'b',
      train_cfg: { max_iters: 20 },
      default_hooks: { logger: { type: 'LoggerHook', interval: 5 } },
      custom_hooks: { ema: { type: 'EMAHook', momentum: 0.2 } },
    };
    t.strictSame(changedOptions(before, after), [
      'custom_hooks.ema.momentum: 0.1 -> 0.2',
      'optim_wrapper.accumulative_counts: not set -> 2',
      'optim_wrapper.optimizer.lr: 0.1 -> 0.2',
    ]);
  },
);

void t.test('changed options: a longer run is a change only when a schedule ends with the run', async (t) => {
  const config = (max_iters: number, schedule: object): Record<string, unknown> => ({
    train_cfg: { max_iters },
    param_scheduler: [schedule],
  });
  t.strictSame(changedOptions(config(10, { type: 'LinearLR', end: 5 }), config(20, { type: 'LinearLR', end: 5 })), []);
  t.strictSame(changedOptions(config(10, { type: 'LinearLR' }), config(20, { type: 'LinearLR' })), [
    'train_cfg.max_iters: 10 -> 20',
  ]);
});

function statStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return '';
  }
}
