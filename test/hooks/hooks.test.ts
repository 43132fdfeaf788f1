import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { readImage } from '../../src/datasets/image/picture-file.js';
import type { RunState } from '../../src/engine/run-state.js';
import { Hook } from '../../src/engine/hook.js';
import { LoggerHook } from '../../src/hooks/logger-hook.js';
import { VisualizationHook } from '../../src/hooks/visualization-hook.js';
import { ConsoleLogger } from '../../src/loggers/console-logger.js';
import { RunLog } from '../../src/loggers/run-log.js';
import { floats } from '../../src/tensor/host.js';
import { WorkDir } from '../../src/engine/work-dir.js';
import { linearRun, Lines } from '../fixtures/engine/linear-run.js';

const visualization = (options: object, log = new Lines()): VisualizationHook =>
  new VisualizationHook(
    {
      prompt: ['dark', 'bright'],
      negative_prompt: '',
      interval: 4,
      by_epoch: false,
      before_train: true,
      height: 16,
      width: 24,
      num_inference_steps: 3,
      guidance_scale: 1,
      guidance_rescale: 0,
      seed: 0,
      ...options,
    },
    log,
  );

void t.test(
  'VisualizationHook: a picture per prompt and a contact sheet, before training, every interval and at the end',
  async (t) => {
    const path = t.testdir(),
      log = new Lines();
    await linearRun(path, { maxIters: 10, hooks: [visualization({}, log)] });
    t.strictSame(readdirSync(join(path, 'vis')).sort(), [
      'before',
      'before.png',
      'step3',
      'step3.png',
      'step7',
      'step7.png',
      'step9',
      'step9.png',
      'training',
    ]);
    t.strictSame(readdirSync(join(path, 'vis', 'step3')).sort(), ['0.png', '1.png', 'captions.json']);
    t.strictSame((await readImage(join(path, 'vis', 'step3', '0.png'))).shape, [16, 24, 3]);
    t.strictSame(
      (await readImage(join(path, 'vis', 'step3.png'))).shape,
      [16, 52, 3],
      'two pictures side by side with a gap',
    );
    t.equal(log.lines[0], `pictures: ${join(path, 'vis', 'before.png')}`);
  },
);

void t.test(
  'VisualizationHook: prompts come from a file; one that is not there is told before anything runs',
  async (t) => {
    const path = t.testdir({ 'prompts.txt': 'dark\n\nbright\ndark\n' });
    const hooks = [visualization({ prompt: join(path, 'prompts.txt'), interval: -1, before_train: false })];
    await linearRun(join(path, 'run'), { maxIters: 1, hooks });
    t.strictSame(JSON.parse(readFileSync(join(path, 'run', 'vis', 'step0', 'captions.json'), 'utf8')), {
      captions: ['dark', 'bright', 'dark'],
    });
    t.throws(() => visualization({ prompt: join(path, 'promts.txt') }), {
      code: 'FILE_NOT_FOUND',
      message: `VisualizationHook.prompt: ${join(path, 'promts.txt')}: no such file of prompts`,
    });
  },
);

void t.test('VisualizationHook: pictures change with the weights, and equal weights give equal pictures', async (t) => {
  const path = t.testdir({ a: {}, b: {} });
  for (const name of ['a', 'b'])
    await linearRun(join(path, name), {
      maxIters: 20,
      lr: 0.1,
      interval: 100,
      hooks: [visualization({ interval: -1 })],
    });
  const bytes = (run: string, name: string): string => readFileSync(join(path, run, 'vis', name), 'hex');
  t.equal(bytes('a', 'step19.png'), bytes('b', 'step19.png'));
  t.not(bytes('a', 'before.png'), bytes('a', 'step19.png'));
  t.not(bytes('a', 'step19/0.png'), bytes('a', 'step19/1.png'), 'each prompt has a seed of its own');
});

void t.test('VisualizationHook: a resumed run does not render the untrained model again', async (t) => {
  const path = t.testdir();
  await linearRun(path, { maxIters: 4 });
  await linearRun(path, { maxIters: 8, resume: true, hooks: [visualization({})] });
  t.notOk(existsSync(join(path, 'vis', 'before.png')));
  t.ok(existsSync(join(path, 'vis', 'step7.png')));
});

void t.test(
  'LoggerHook: lines with the mean loss, rates, speed, time left and memory; JSON lines that hold no times',
  async (t) => {
    const path = t.testdir(),
      log = new Lines();
    await linearRun(path, { maxIters: 12 }, log);
    const lines = log.lines.filter((line) => line.startsWith('iter'));
    t.equal(lines.length, 2, 'every 10 iterations, and the last');
    t.match(
      lines[0],
      /^iter 10\/12 {2}loss \d\S* {2}mean_prediction \S+ {2}grad_norm \d\S* {2}lr 5\.00e-2 {2}\d\S* (it\/s|s\/it) {2}eta 0:00:00 {2}\d\.\d GiB$/,
    );
    const json = readFileSync(join(path, 'log.jsonl'), 'utf8').trim().split('\n');
    t.strictSame(Object.keys(JSON.parse(json[0]) as object), ['iter', 'loss', 'mean_prediction', 'grad_norm', 'lr']);
    const losses = json.map((line) => (JSON.parse(line) as { loss: number }).loss);
    t.match(lines[1], `loss ${((losses[10] + losses[11]) / 2).toPrecision(4)}  `);
  },
);

void t.test(
  'LoggerHook: the seconds of a step are without those of encoding, which are said apart while they count',
  async (t) => {
    const log = new Lines(),
      hook = new LoggerHook({ interval: 1, jsonl: 'log.jsonl' }, log);
    // a clock by hand: an iteration takes two seconds beside what it encodes
    const encoding = [20, 3, 0.1];
    let now = 0,
      encoded = 0;
    t.intercept(performance, 'now', { value: () => now });
    const run = {
      workDir: await WorkDir.open(t.testdir()),
      maxIters: 3,
      asides: { spent: 0, left: 0 },
      every: () => true,
      isLast: false,
      logs: { loss: 1, lr: 1 },
      get phases() {
        return { encode: encoded };
      },
      iter: 0,
    };
    await hook.beforeTrain(run as unknown as RunState);
    for (; run.iter < 3; run.iter++) {
      await hook.beforeTrainIter(run as unknown as RunState);
      encoded += encoding[run.iter];
      now += 1000 * (2 + encoding[run.iter]);
      await hook.afterTrainIter(run as unknown as RunState);
    }
    await hook.afterRun();
    const speeds = log.lines.map((line) => /lr \S+ {2}(.*?) {2}eta/.exec(line)?.[1]);
    t.strictSame(speeds, [
      '2.00 s/it + 20.00 s encoding',
      '2.00 s/it + 3.00 s encoding',
      '2.00 s/it + 1.55 s encoding',
    ]);
  },
);

void t.test('LoggerHook: lines after the checkpoint, torn ones too, are dropped on resume', async (t) => {
  const path = t.testdir({ a: {}, b: {} }),
    file = join(path, 'b', 'log.jsonl');
  await linearRun(join(path, 'a'), { maxIters: 8 });
  await linearRun(join(path, 'b'), { maxIters: 4 });
  writeFileSync(file, `${readFileSync(file, 'utf8')}{"iter":4,"loss":1}\n{"iter":5,"lo`);
  await linearRun(join(path, 'b'), { maxIters: 8, resume: true });
  t.equal(readFileSync(file, 'utf8'), readFileSync(join(path, 'a', 'log.jsonl'), 'utf8'));
});

void t.test('EMAHook: the average is a copy up to begin_iter, then follows with the momentum', async (t) => {
  const seen: { params: number; ema: number }[] = [];
  class Watch extends Hook {
    override readonly priority = 'LOW';
    override async afterTrainIter(run: RunState): Promise<void> {
      const bias = async (set: 'current' | 'ema'): Promise<number> => floats((await run.values(set))['bias'])[0];
      seen.push({ params: await bias('current'), ema: await bias('ema') });
      t.equal(run.weights, 'ema');
    }
  }
  await linearRun(t.testdir(), { maxIters: 5, ema: true, hooks: [new Watch()] }); // momentum 0.1, begin_iter 2
  for (const i of [0, 1, 2]) t.equal(seen[i].ema, seen[i].params);
  for (const i of [3, 4]) {
    t.not(seen[i].ema, seen[i].params);
    t.ok(Math.abs(seen[i].ema - (0.9 * seen[i - 1].ema + 0.1 * seen[i].params)) < 1e-7);
  }
});

void t.test(
  'log of a run: information on one stream, warnings on the other, everything with the time in the file and to who listens',
  async (t) => {
    const out: string[] = [],
      err: string[] = [],
      heard: string[] = [],
      file = join(t.testdir(), 'run.log');
    const shown = new ConsoleLogger({ out: { write: (s) => out.push(s) }, err: { write: (s) => err.push(s) } });
    const log = new RunLog(shown, (level, message) => heard.push(`${level} ${message}`));
    log.writeTo(file);
    log.info('going');
    log.warn('slow');
    log.debug('detail');
    t.strictSame([out, err], [['going\n'], ['warning: slow\n']]);
    t.strictSame(heard, ['info going', 'warn slow', 'debug detail']);
    t.match(readFileSync(file, 'utf8'), /^\d{4}-\d\d-\d\dT\S+Z INFO going\n\S+ WARNING slow\n\S+ DEBUG detail\n$/);
    t.equal(log.progress(10, 0), undefined, 'no bar where there is no terminal');
  },
);

void t.test('log of a run: a file that cannot be written does not end the run', async (t) => {
  const out: string[] = [];
  const log = new RunLog(new ConsoleLogger({ out: { write: (s) => out.push(s) } }));
  log.writeTo('/no/such/folder/run.log');
  log.info('going');
  t.strictSame(out, ['going\n']);
});
