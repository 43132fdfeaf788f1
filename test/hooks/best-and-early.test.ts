/** The best checkpoint, early stopping, and evaluations on the way: resumed runs decide as uninterrupted ones. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { bestOf, judged } from '../../src/engine/best-evaluation.js';
import { Hook } from '../../src/engine/hook.js';
import type { Evaluation, RunState } from '../../src/engine/run-state.js';
import { EarlyStoppingHook } from '../../src/hooks/early-stopping-hook.js';
import { chosenCheckpoint } from '../../src/engine/checkpoint-path.js';
import { linearRun, Lines, outcome, type LinearOptions } from '../fixtures/engine/linear-run.js';

/** Measures every second iteration: what the list says, in the order of iterations. */
class Measure extends Hook {
  override readonly priority = 'VERY_LOW';
  constructor(
    private readonly values: readonly number[],
    private readonly better: 'higher' | 'lower' = 'higher',
  ) {
    super();
  }
  override async beforeTrain(run: RunState): Promise<void> {
    run.iter--; // a checkpoint is saved before its own evaluation
    if (run.iter >= 0 && run.evaluations.at(-1)?.iter !== run.iter) await this.afterTrainIter(run);
    run.iter++;
  }
  override async afterTrainIter(run: RunState): Promise<void> {
    const value = this.values[(run.iter + 1) / 2 - 1];
    if (run.every(2)) await run.evaluated({ key: 'k', scores: [{ name: 'score', better: this.better, value }] });
  }
}
const early = (options: object, log = new Lines()): EarlyStoppingHook =>
  new EarlyStoppingHook({ monitor: 'score', min_delta: 0, patience: 2, check_finite: true, ...options }, log);
const VALUES = [1, 3, 2, 2.5, 9, 10, 11, 12, 13, 14];
const at = (path: string, name: string): string => readFileSync(join(path, name), 'utf8').trim();

void t.test('save_best: the best checkpoint is saved, kept when old ones go, and drawn with', async (t) => {
  const path = t.testdir();
  await linearRun(path, {
    maxIters: 12,
    interval: 4,
    keep: 1,
    saveBest: 'score',
    hooks: [new Measure([1, 3, 2, 3, 2, 1])],
  });
  t.equal(at(path, 'best_checkpoint'), 'step3', 'the first of equals');
  t.equal(at(path, 'last_checkpoint'), 'step11');
  t.strictSame(
    [1, 3, 7, 11].map((i) => existsSync(join(path, `step${i}`))),
    [false, true, false, true],
  );
  t.equal(await chosenCheckpoint(path), join(path, 'step3'));
  await linearRun(path, { maxIters: 2, interval: 4, hooks: [] });
  t.notOk(existsSync(join(path, 'best_checkpoint')), 'a new run has none');
});

void t.test('EarlyStoppingHook: ends after `patience` evaluations without gain; resumed, it stays ended', async (t) => {
  const path = t.testdir(),
    log = new Lines(),
    options: LinearOptions = { maxIters: 20, saveBest: 'auto', hooks: [new Measure(VALUES), early({})] };
  const { iteration, best } = await linearRun(path, options, log);
  t.equal(iteration, 7);
  t.equal(best, join(path, 'step3'));
  t.match(log.lines.slice(-1), [
    'stopped after iteration 7: score has not become better than 3.000 (iteration 3) in 2 evaluations',
  ]);
  t.equal((await linearRun(path, { ...options, resume: true })).iteration, 7);
  t.equal(
    (
      await linearRun(path, {
        ...options,
        resume: true,
        hooks: [new Measure(VALUES), early({ patience: 3 })],
      })
    ).iteration,
    19,
  );
  t.equal(at(path, 'best_checkpoint'), 'step19');
});

void t.test('a run that is stopped between a checkpoint and its evaluation ends as if it had not been', async (t) => {
  const path = t.testdir({ whole: {}, parts: {} }),
    hooks = (): Hook[] => [new Measure([1, 3, 2, 4, 3, 2, 1]), early({ patience: 3 })];
  const options = { interval: 2, saveBest: 'score' };
  await linearRun(join(path, 'whole'), { ...options, maxIters: 20, hooks: hooks() });
  await linearRun(join(path, 'parts'), { ...options, maxIters: 8 }); // step7, not measured
  t.notOk(existsSync(join(path, 'parts', 'best_checkpoint')));
  const record = join(path, 'parts', 'step7', 'run.json');
  t.strictSame((JSON.parse(readFileSync(record, 'utf8')) as { evaluations: [] }).evaluations, []);
  await linearRun(join(path, 'parts'), { ...options, maxIters: 20, resume: true, hooks: hooks() });
  t.strictSame(outcome(join(path, 'parts')).state, outcome(join(path, 'whole')).state);
  for (const name of ['best_checkpoint', 'last_checkpoint'])
    t.equal(at(join(path, 'parts'), name), at(join(path, 'whole'), name));
});

void t.test('rule, min_delta, threshold, values that are no numbers, and metrics that are not there', async (t) => {
  const end = async (values: number[], options: object, better?: 'lower'): Promise<number> =>
    (await linearRun(t.testdir(), { maxIters: 12, hooks: [new Measure(values, better), early(options)] })).iteration;
  t.equal(await end([5, 4, 3, 2, 1, 0], {}, 'lower'), 11, 'less is better by the metric itself');
  t.equal(await end([5, 4, 3, 2, 1, 0], { rule: 'greater' }, 'lower'), 5);
  t.equal(await end([1, 1.1, 1.2, 1.3, 1.4, 1.5], { min_delta: 0.5 }), 5);
  t.equal(await end([1, 2, 3, 4, 5, 6], { stopping_threshold: 2.5 }), 5);
  t.equal(await end([5, 4, 3, 2, 1, 0], { stopping_threshold: 3.5 }, 'lower'), 5);
  t.equal(await end([1, NaN, 3, 4, 5, 6], {}), 3);
  await t.rejects(end([1], { monitor: 'CLIP-X' }), {
    message: 'EarlyStoppingHook.monitor: "CLIP-X": the evaluation has no metric of that name; it has score',
  });
  const of = (iter: number, key: string, value: number): Evaluation => ({
    iter,
    key,
    scores: [{ name: 'a', better: 'lower', value }],
  });
  t.equal(
    bestOf(judged([of(0, 'old', 0), of(1, 'k', NaN), of(2, 'k', 2), of(3, 'k', 3)], 'a', undefined, 'x'))?.iter,
    2,
  );
});
