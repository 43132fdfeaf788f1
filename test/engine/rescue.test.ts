/** Errors that end a run: what it has learnt is saved first, and it resumes as if nothing had happened. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { UserError } from '../../src/base/errors.js';
import type { RandomStream } from '../../src/base/rng.js';
import type { Sample } from '../../src/datasets/dataset.js';
import { Hook } from '../../src/engine/hook.js';
import type { RunState } from '../../src/engine/run-state.js';
import { linearRun, Lines, outcome } from '../fixtures/engine/linear-run.js';
import { NoisePictures } from '../fixtures/engine/linear.js';

const steps = (path: string): string[] =>
  (existsSync(path) ? readdirSync(path) : []).filter((n) => n.startsWith('step')).sort();

/** Throws at one point of one iteration. */
class Fails extends Hook {
  constructor(
    private readonly point: 'beforeTrainIter' | 'afterTrainIter' | 'afterTrain' | 'beforeSaveCheckpoint',
    private readonly iter: number,
  ) {
    super();
  }
  private at(point: string, run: RunState): void {
    if (point === this.point && run.iter === this.iter) throw new UserError(`broken at ${point} ${run.iter}`);
  }
  override beforeTrainIter = async (run: RunState): Promise<void> => this.at('beforeTrainIter', run);
  override afterTrainIter = async (run: RunState): Promise<void> => this.at('afterTrainIter', run);
  override afterTrain = async (run: RunState): Promise<void> => this.at('afterTrain', run);
  override beforeSaveCheckpoint = async (run: RunState): Promise<void> => this.at('beforeSaveCheckpoint', run);
}

void t.test(
  'an error of a hook ends the run with a checkpoint of the last whole iteration, from which it resumes',
  async (t) => {
    const whole = t.testdir({ whole: {} });
    await linearRun(join(whole, 'whole'), { maxIters: 9, interval: 100 });
    for (const [point, saved] of [
      ['beforeTrainIter', 6],
      ['afterTrainIter', 7],
    ] as const) {
      const path = join(whole, point),
        log = new Lines();
      await t.rejects(linearRun(path, { maxIters: 9, interval: 100, hooks: [new Fails(point, 7)] }, log), {
        name: 'UserError',
        message: `broken at ${point} 7`,
      });
      t.strictSame(steps(path), [`step${saved}`]);
      t.equal(
        log.lines.at(-1),
        `an error ends the run after iteration ${saved}; saved ${join(path, `step${saved}`)}. When the cause is mended, add --resume to the same command`,
      );
      await linearRun(path, { maxIters: 9, interval: 100, resume: true });
      t.strictSame(outcome(path), outcome(join(whole, 'whole')), 'as if nothing had happened');
    }
  },
);

void t.test('an error of data ends the run with a checkpoint, also between two updates', async (t) => {
  class Torn extends NoisePictures {
    override async get(index: number, stream: RandomStream): Promise<Sample> {
      if (index === 13) throw new UserError('13.jpg: not a readable picture');
      return super.get(index, stream);
    }
  }
  const path = join(t.testdir(), 'a');
  for (const accumulate of [1, 2]) {
    const at = `${path}${accumulate}`;
    await t.rejects(linearRun(at, { maxIters: 40, interval: 100, accumulate, dataset: new Torn() }), {
      message: '13.jpg: not a readable picture',
    });
    const [step] = steps(at);
    t.match(step, /^step\d$/);
    await linearRun(at, { maxIters: 40, interval: 100, accumulate, resume: true });
    await linearRun(`${at}-whole`, { maxIters: 40, interval: 100, accumulate });
    t.strictSame(outcome(at), outcome(`${at}-whole`));
  }
});

void t.test(
  'nothing is saved of an iteration whose loss is no number, and the error of a full disk is told first',
  async (t) => {
    const path = join(t.testdir(), 'nan');
    await t.rejects(linearRun(path, { maxIters: 9, interval: 100, model: { nan_at: 3 } }), { message: /loss is NaN/ });
    t.strictSame(steps(path), []);
  },
);

void t.test('a hook that cannot add its files does not keep a run from being saved', async (t) => {
  const path = join(t.testdir(), 'a'),
    log = new Lines();
  await t.rejects(linearRun(path, { maxIters: 9, interval: 5, hooks: [new Fails('beforeSaveCheckpoint', 4)] }, log), {
    message: 'broken at beforeSaveCheckpoint 4',
  });
  t.strictSame(steps(path), ['step4']);
  t.match(
    log.lines.at(-1),
    /^an error ends the run after iteration 4; saved .*step4 without the files of Fails\. When/,
  );
  await linearRun(path, { maxIters: 9, resume: true });
  t.strictSame(steps(path), ['step4', 'step8']);
});
