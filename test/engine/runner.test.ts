import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { LinearLR } from '../../src/engine/lr_schedules/linear-lr.js';
import type { RunState } from '../../src/engine/run-state.js';
import { Hook } from '../../src/engine/hook.js';
import { openSafetensors, writeSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { float32 } from '../../src/tensor/host.js';
import { linearRun, Lines, outcome, type LinearOptions } from '../fixtures/engine/linear-run.js';

const steps = (path: string): string[] =>
  readdirSync(path)
    .filter((n) => n.startsWith('step'))
    .sort();
const logOf = (path: string): { iter: number; loss: number; lr: number; grad_norm?: number }[] =>
  readFileSync(join(path, 'log.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

function child(
  path: string,
  options: LinearOptions,
): ChildProcess & { output: string; waitFor(pattern: RegExp): Promise<void> } {
  const script = fileURLToPath(new URL('../fixtures/engine/linear-run.js', import.meta.url));
  const process_ = Object.assign(spawn(process.execPath, [script, path, JSON.stringify(options)]), {
    output: '',
    waitFor: async (pattern: RegExp) => {
      while (!pattern.test(existsSync(join(path, 'log.jsonl')) ? readFileSync(join(path, 'log.jsonl'), 'utf8') : '')) {
        await new Promise((done) => setTimeout(done, 5));
        if (process_.exitCode !== null) throw new Error(`ended too early: ${process_.output}`);
      }
    },
  });
  process_.stdout?.on('data', (data: Buffer) => {
    process_.output += data.toString();
  });
  process_.stderr?.on('data', (data: Buffer) => {
    process_.output += data.toString();
  });
  return process_;
}

void t.test('a run learns, logs every iteration, and leaves a checkpoint of its last iteration', async (t) => {
  const path = t.testdir();
  const result = await linearRun(path, { maxIters: 100, interval: 50, lr: 0.1 });
  t.strictSame(result, { workDir: path, iteration: 99, checkpoint: join(path, 'step99'), best: undefined });
  const log = logOf(path);
  t.equal(log.length, 100);
  t.ok(log[99].loss < log[0].loss / 20, `the loss fell from ${log[0].loss} to ${log[99].loss}`);
  t.strictSame(steps(path), ['step49', 'step99']);
  t.equal(readFileSync(join(path, 'last_checkpoint'), 'utf8'), 'step99\n');
  t.strictSame(readdirSync(join(path, 'step99')).sort(), ['linear', 'run.json', 'training_state.safetensors']);
});

for (const [name, options] of Object.entries<Omit<LinearOptions, 'maxIters'>>({
  'a plain run': {},
  'a run with gradient accumulation, killed within a group': { accumulate: 3 },
  'a run with EMA': { ema: true },
  'a run with accumulation and EMA': { accumulate: 4, ema: true },
  'a run with accumulation and a dynamic loss scale': { accumulate: 3, lossScale: 'dynamic' },
  'a run with accumulation and EMA on ONNX Runtime': { accumulate: 4, ema: true, onnx: true },
})) {
  void t.test(`20 iterations equal 10, kill -9, resume, bit for bit: ${name}`, async (t) => {
    const straight = t.testdir({ a: {}, b: {} }),
      killed = join(straight, 'b');
    await linearRun(join(straight, 'a'), { maxIters: 20, ...options });
    const run = child(killed, { maxIters: 20, model: { wait_ms: 30 }, ...options });
    await run.waitFor(/"iter":12/); // the checkpoint of iteration 9 exists, iterations 10 to 12 are lost
    run.kill('SIGKILL');
    await once(run, 'exit');
    t.notOk(existsSync(join(killed, 'step19')));
    t.equal(readFileSync(join(killed, 'last_checkpoint'), 'utf8'), 'step9\n');
    const log = new Lines();
    await linearRun(killed, { maxIters: 20, resume: true, ...options }, log);
    t.match(log.lines.join('\n'), /resumed from .*step9, next iteration 10/);
    t.strictSame(outcome(killed), outcome(join(straight, 'a')));
  });
}

void t.test('EMA: saved weights are the average, and the training state holds both', async (t) => {
  const path = t.testdir({ plain: {}, ema: {} });
  await linearRun(join(path, 'plain'), { maxIters: 10 });
  await linearRun(join(path, 'ema'), { maxIters: 10, ema: true });
  const plain = outcome(join(path, 'plain')),
    ema = outcome(join(path, 'ema'));
  t.equal(plain['log'], ema['log'], 'training itself is the same');
  t.not(plain['adapter'], ema['adapter']);
  t.match(readFileSync(join(path, 'ema', 'step9', 'training_state.safetensors'), 'latin1'), /ema\/packed/);
});

void t.test('max_keep_ckpts keeps the newest checkpoints of this run and none of another', async (t) => {
  const path = t.testdir();
  await linearRun(path, { maxIters: 3, interval: 3 });
  const log = new Lines();
  await linearRun(path, { maxIters: 20, interval: 4, keep: 2 }, log);
  t.match(log.lines[0], /warning: .* holds checkpoints of an earlier run \(step2\)/);
  t.strictSame(steps(path), ['step15', 'step19', 'step2']);
});

void t.test(
  'a checkpoint appears whole or not at all: a hook that fails while it is written leaves none of its files',
  async (t) => {
    class Failing extends Hook {
      override async beforeSaveCheckpoint(run: RunState, folder: string): Promise<void> {
        writeFileSync(join(folder, 'half'), 'half');
        if (run.iter > 5) throw new Error('broken hook');
      }
    }
    const path = t.testdir();
    await t.rejects(linearRun(path, { maxIters: 20, hooks: [new Failing()] }), { message: 'broken hook' });
    t.strictSame(
      readdirSync(path)
        .filter((n) => n !== 'log.jsonl')
        .sort(),
      ['last_checkpoint', 'step4', 'step9'],
    );
    t.equal(readFileSync(join(path, 'last_checkpoint'), 'utf8'), 'step9\n');
    t.strictSame(readdirSync(join(path, 'step9')).sort(), ['linear', 'run.json', 'training_state.safetensors']);
  },
);

void t.test(
  'a loss that is not a number stops the run before anything is saved, and names the iteration',
  async (t) => {
    const path = t.testdir();
    await t.rejects(linearRun(path, { maxIters: 20, interval: 4, model: { nan_at: 7 } }), {
      name: 'UserError',
      message: /^iteration 7: loss is NaN \(learning rate 0.05\); nothing of this iteration was saved/,
    });
    t.strictSame(steps(path), ['step3']);
    t.equal(logOf(path).length, 7);
    await linearRun(path, { maxIters: 20, resume: true });
    t.equal(logOf(path).length, 20);
  },
);

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  void t.test(
    `${signal} once: the step ends, a checkpoint is saved, the exit code is ${code}, and the resumed run equals an uninterrupted one`,
    async (t) => {
      const path = t.testdir({ a: {}, b: {} }),
        stopped = join(path, 'b');
      const run = child(stopped, { maxIters: 30, interval: 100, model: { wait_ms: 50 } });
      await run.waitFor(/"iter":3/);
      run.kill(signal);
      const [exitCode] = (await once(run, 'exit')) as [number];
      t.equal(exitCode, code);
      t.match(
        run.output,
        /Interrupted: stopped after iteration \d+, \d+ left; saved .*step\d+\. Add --resume to the same command to continue/,
      );
      t.equal(steps(stopped).length, 1);
      await linearRun(stopped, { maxIters: 30, interval: 100, resume: true });
      await linearRun(join(path, 'a'), { maxIters: 30, interval: 100 });
      t.strictSame(outcome(stopped), outcome(join(path, 'a')));
    },
  );
}

void t.test('Ctrl-C twice ends the run at once, without a checkpoint', async (t) => {
  const path = t.testdir();
  const run = child(path, { maxIters: 30, interval: 100, model: { wait_ms: 2000 } }),
    ended = once(run, 'exit');
  await run.waitFor(/"iter":0/);
  run.kill('SIGINT');
  while (!/once more/.test(run.output)) await new Promise((done) => setTimeout(done, 5));
  run.kill('SIGINT');
  const [, signal] = (await ended) as [null, string];
  t.equal(signal, 'SIGINT', 'which shells report as 130');
  t.strictSame(steps(path), []);
});

void t.test('resume: nothing to resume means a start from the beginning, said so', async (t) => {
  const log = new Lines();
  await linearRun(t.testdir(), { maxIters: 2, resume: true }, log);
  t.match(log.lines[0], /^nothing to resume in .*: starting from the beginning$/);
});

void t.test('resume: a finished run has nothing to do', async (t) => {
  const path = t.testdir(),
    log = new Lines();
  await linearRun(path, { maxIters: 3 });
  t.strictSame(await linearRun(path, { maxIters: 3, resume: true }, log), {
    workDir: path,
    iteration: 2,
    checkpoint: join(path, 'step2'),
    best: undefined,
  });
  t.strictSame(log.lines, ['already trained to iteration 2, train_cfg.max_iters is 3; nothing to do']);
});

void t.test('resume: another base model is refused', async (t) => {
  const path = t.testdir();
  await linearRun(path, { maxIters: 3 });
  await t.rejects(linearRun(path, { maxIters: 6, resume: true, model: { base: 'B' } }), {
    name: 'UserError',
    message: /step2: trained on another base model \(linear-A, this one is linear-B\)/,
  });
});

void t.test('resume: options that change the numbers are listed', async (t) => {
  const path = t.testdir(),
    log = new Lines();
  await linearRun(path, { maxIters: 3 });
  await linearRun(path, { maxIters: 6, resume: true, lr: 0.1, seed: 1 }, log);
  t.match(
    log.lines[0],
    /warning: the run changed since .*step2, .*\n {2}randomness\.seed: 0 -> 1\n {2}optim_wrapper\.optimizer\.lr: 0\.05 -> 0\.1$/,
  );
});

void t.test('resume: a damaged checkpoint is refused, naming an earlier one', async (t) => {
  const path = t.testdir();
  const state = join(path, 'step9', 'training_state.safetensors'),
    record = join(path, 'step9', 'run.json');
  await linearRun(path, { maxIters: 10 });
  const resume = (): Promise<unknown> => linearRun(path, { maxIters: 20, resume: true });
  truncateSync(state, 100);
  await t.rejects(resume, {
    name: 'UserError',
    message: /step9: cannot resume from this checkpoint \(.*training_state.*\); try --resume .*step4$/,
  });
  rmSync(state);
  await t.rejects(resume, { name: 'UserError', message: /step9: cannot resume from this checkpoint/ });
  writeFileSync(record, '{"iteration":');
  await t.rejects(resume, { name: 'UserError', message: /run\.json is damaged: .*; try --resume .*step4$/ });
  rmSync(record);
  await t.rejects(resume, { name: 'UserError', message: /no run\.json in it/ });
  await linearRun(path, { maxIters: 20, resume: join(path, 'step4') });
  t.equal(logOf(path).length, 20);
});

void t.test(
  'resume: a checkpoint of other options is refused by the names of the options, in both directions',
  async (t) => {
    const path = t.testdir();
    await linearRun(path, { maxIters: 3 });
    const resumes = (options: Parameters<typeof linearRun>[1], message: string): Promise<unknown> =>
      t.rejects(linearRun(path, { resume: true, ...options }), { name: 'UserError', message });
    const where = `${join(path, 'step2')}: cannot resume from this checkpoint`,
      advice = 'set them as they were, or start a new run with another --work-dir';
    await resumes(
      { maxIters: 6, ema: true },
      `${where} (it lacks ema/packed): the options differ (custom_hooks: {} -> not set; custom_hooks.ema.momentum: not set -> 0.1; custom_hooks.ema.type: not set -> "EMAHook"); ${advice}`,
    );
    await resumes(
      { maxIters: 6, accumulate: 2 },
      `${where} (it lacks grads/packed): the options differ (optim_wrapper.accumulative_counts: 1 -> 2); ${advice}`,
    );
    await linearRun(path, { maxIters: 4, accumulate: 2 });
    await t.rejects(linearRun(path, { maxIters: 6, resume: true }), {
      name: 'UserError',
      message:
        /step3: cannot resume from this checkpoint \(it has grads\/packed, which this run does not use\): the options differ \(optim_wrapper\.accumulative_counts: 2 -> 1\); set them/,
    });
  },
);

void t.test('resume: a checkpoint whose states are of another shape is refused', async (t) => {
  const path = t.testdir();
  await linearRun(path, { maxIters: 3 });
  const file = join(path, 'step2', 'training_state.safetensors'),
    { entries } = await openSafetensors(file);
  await writeSafetensors(
    file,
    Object.fromEntries([...entries.keys()].map((name) => [name, float32(new Float32Array(2), [2])])),
  );
  await t.rejects(linearRun(path, { maxIters: 6, resume: true }), {
    name: 'UserError',
    message:
      /its params\/packed has shape \[2\], this run's has \[\d+\]\): the options are the same, so another version of diffengine wrote it/,
  });
});

void t.test('resume: a folder that is no checkpoint is refused', async (t) => {
  await t.rejects(linearRun(t.testdir(), { maxIters: 3, resume: '/no/such/step9' }), {
    name: 'UserError',
    message:
      '/no/such/step9: cannot resume from this checkpoint (no such folder); there is no other checkpoint in /no/such',
  });
});

void t.test('the learning rate follows the schedules and is logged', async (t) => {
  const path = t.testdir();
  await linearRun(path, {
    maxIters: 4,
    lr: 0.1,
    schedules: [new LinearLR({ begin: 0, end: 3, start_factor: 0.5, end_factor: 1, by_epoch: false })],
  });
  t.strictSame(
    logOf(path).map(({ lr }) => Number(lr.toFixed(6))),
    [0.05, 0.075, 0.1, 0.1],
  );
});

void t.test('hooks run by priority, those of equal priority in their order, and a hook can stop the run', async (t) => {
  const calls: string[] = [];
  class Spy extends Hook {
    constructor(
      readonly name: string,
      override readonly priority: Hook['priority'],
    ) {
      super();
    }
    override async beforeRun(): Promise<void> {
      calls.push(`beforeRun ${this.name}`);
    }
    override async beforeTrain(): Promise<void> {
      calls.push(`beforeTrain ${this.name}`);
    }
    override async afterTrainIter(run: RunState): Promise<void> {
      calls.push(`iter ${run.iter} ${this.name}`);
      if (run.iter === 1) run.stop('seen enough');
    }
    override async afterTrain(): Promise<void> {
      calls.push(`afterTrain ${this.name}`);
    }
    override async afterRun(): Promise<void> {
      calls.push(`afterRun ${this.name}`);
    }
  }
  const path = t.testdir(),
    log = new Lines();
  await linearRun(
    path,
    {
      maxIters: 10,
      hooks: [new Spy('late', 'LOW'), new Spy('a', 'NORMAL'), new Spy('b', 'NORMAL'), new Spy('first', 'VERY_HIGH')],
    },
    log,
  );
  const names = ['first', 'a', 'b', 'late'];
  t.strictSame(
    calls,
    ['beforeRun', 'beforeTrain', 'iter 0', 'iter 1', 'afterTrain', 'afterRun'].flatMap((point) =>
      names.map((n) => `${point} ${n}`),
    ),
  );
  t.equal(log.lines.at(-1), 'stopped after iteration 1: seen enough');
  t.strictSame(steps(path), ['step1']);
});

void t.test('afterRun is called on every hook even when training fails', async (t) => {
  let cleaned = 0;
  class Failing extends Hook {
    override async afterTrainIter(): Promise<void> {
      throw new Error('broken');
    }
    override async afterRun(): Promise<void> {
      cleaned++;
      throw new Error('broken again');
    }
  }
  await t.rejects(linearRun(t.testdir(), { maxIters: 3, hooks: [new Failing(), new Failing()] }), {
    message: /^broken$/,
  });
  t.equal(cleaned, 2);
});
