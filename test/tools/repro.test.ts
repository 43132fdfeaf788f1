/** The reproduction: its stages are commands that exist, and its page says what the numbers say. */
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import sharp from 'sharp';
import t, { type Test } from 'tap';
import { UserError } from '../../src/base/errors.js';
import { builtInConfigs } from '../../src/registry/load-config.js';
import { meansOverSubjects } from '../../tools/repro/means.js';
import { keepPictures } from '../../tools/repro/pictures.js';
import {
  outcomeOf,
  percent,
  readResult,
  valueOf,
  withInterval,
  type Marker,
  type Result,
} from '../../tools/repro/result.js';
import { dirOf, single, type Stage } from '../../tools/repro/row.js';
import { ALL_ROWS, EXPERIMENTS } from '../../tools/repro/rows/all.js';
import { SUBJECT_NAMES } from '../../tools/repro/rows/dreambooth.js';
import { runStages } from '../../tools/repro/run-stages.js';
import { DISTILLATION_TITLE, PERSONAL_TITLE, verdicts } from '../../tools/repro/text.js';

/** Makes an empty folder the current one, until the test ends. */
function enterFolder(t: Test): void {
  const here = process.cwd();
  process.chdir(t.testdir());
  t.teardown(() => process.chdir(here));
}

void t.test('every stage has an id of its own and commands with built-in configs', async (t) => {
  const stages = ALL_ROWS.flatMap(({ stages }) => stages),
    names = [...stages.map(({ id }) => id), ...ALL_ROWS.filter(({ stages }) => stages.length > 1).map(({ id }) => id)];
  t.equal(new Set(names).size, names.length);
  const known = await builtInConfigs();
  for (const { id, commands } of stages) {
    for (const args of commands) {
      t.ok(existsSync(`tools/commands/${args[0]}.ts`), `${id}: ${args[0]}`);
      const config = args[0] === 'train' ? args[1] : args[args.indexOf('--config') + 1];
      if (args[0] === 'train' || args.includes('--config')) t.ok(known.has(config), `${id}: ${config}`);
      const folders = args.flatMap((arg) => arg.match(/package:(assets\/toyland-instances\/\S+)/)?.[1] ?? []);
      for (const folder of folders) t.ok(existsSync(folder), `${id}: ${basename(folder)}`);
    }
  }
});

void t.test(
  'of a stage that ended the repository keeps scores and the first pictures; of weights the work dir does',
  async (t) => {
    enterFolder(t);
    const row = single('x', 'some drawings', 'sizes', []),
      [stage] = row.stages,
      marker = { commands: ['diffengine eval'], seconds: 3, commit: 'abc', machine: '2 x CPU', finished: '2026-11-29' },
      scores = [{ name: 'FD', better: 'lower', value: 5, half_width_95: null, per_seed: [5] }];
    t.equal(await readResult(row), undefined, 'it was not run');
    const evaluated = { scores, seeds: [0], cost: null, latency: null };
    await mkdir('work_dirs/repro/x/eval', { recursive: true });
    await writeFile(
      'work_dirs/repro/x/eval/eval.json',
      JSON.stringify({ ...evaluated, prompts: ['a dog'], config: {} }),
    );
    const sheet = { create: { width: 10 * 68 - 4, height: 64, channels: 3, background: '#0f0' } } as const;
    await sharp(sheet).png().toFile('work_dirs/repro/x/eval/seed0.png');
    const outcome = await outcomeOf(stage, marker);
    t.strictSame(outcome, { marker, evaluation: evaluated });
    await mkdir('docs/results/runs', { recursive: true });
    await keepPictures(stage);
    await writeFile(stage.record, JSON.stringify(outcome));
    t.equal(stage.record, 'docs/results/runs/x.json');
    t.strictSame((await readResult(row))?.done, [outcome]);
    t.equal((await sharp('docs/results/runs/x.png').metadata()).width, 8 * 68 - 4, 'eight of ten pictures');
    const [weights] = single('y', 'a network', 'weights', []).stages;
    t.equal(weights.record, 'work_dirs/repro/y/done.json');
    t.strictSame(await outcomeOf(weights, marker), { marker });
  },
);

void t.test(
  'stages run at once, but for what needs another one; one that fails is named, and the others are kept',
  async (t) => {
    enterFolder(t);
    const of = (id: string, ...command: readonly string[]): Stage => single(id, id, 'weights', [command]).stages[0],
      folder = (id: string): string => `${dirOf(id)}/pipeline`;
    const model = of('model', 'convert', 'package:assets/tiny-random-sd', '--out', folder('model')),
      copy = of('copy', 'convert', folder('model'), '--out', folder('copy')),
      wrong = of('wrong', 'convert', 'nowhere', '--out', folder('wrong')),
      never = of('never', 'convert', folder('model'), '--out', folder('never'));
    await runStages([model, copy], { jobs: 2, alone: new Set() });
    t.ok(existsSync(`${folder('copy')}/model_index.json`), 'it waited for the model');
    const { marker } = JSON.parse(await readFile(copy.record, 'utf8')) as { marker: Marker };
    t.match(marker, {
      commands: [`diffengine convert ${folder('model')} --out ${folder('copy')}`],
      machine: /, 2 runs at once$/,
    });
    await rm(dirOf('model'), { recursive: true });
    await rm(dirOf('copy'), { recursive: true });
    await mkdir('docs/results/runs', { recursive: true });
    const kept = { ...model, record: 'docs/results/runs/model.json' };
    await writeFile(kept.record, '{}');
    await runStages([kept, copy], { jobs: 1, alone: new Set() });
    t.ok(existsSync(`${folder('copy')}/model_index.json`), 'the record is there, the model is made again');
    await t.rejects(
      runStages([copy, wrong, never], { jobs: 1, alone: new Set() }),
      new UserError(
        'stage wrong stopped with exit code 1: diffengine convert nowhere --out work_dirs/repro/wrong/pipeline; the same command goes on from there',
      ),
    );
    await t.rejects(runStages([wrong], { jobs: 2, alone: new Set() }), /work_dirs\/repro\/wrong\/log.txt says why/);
    t.match(await readFile(`${dirOf('wrong')}/log.txt`, 'utf8'), 'nowhere');
    t.notOk(existsSync(never.record));
  },
);

/** Of one training, or of several. */
const result = (
  id: string,
  ...trainings: readonly Readonly<Record<string, readonly [number, number | null]>>[]
): Result =>
  ({
    row: EXPERIMENTS.find((row) => row.id === id),
    done: trainings.map((scores) => ({
      evaluation: {
        scores: Object.entries(scores).map(([name, [value, half_width_95]]) => ({
          name,
          better: 'lower',
          value,
          half_width_95,
          per_seed: [],
        })),
      },
    })),
  }) as unknown as Result;

const CLAIM = '**Distillation beats training on the data alone** (FD): ';

void t.test('a verdict says whether the better one is better, and whether the intervals are apart', (t) => {
  const kd = result('kd', { FD: [2, 0.5] });
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [4, 1] })]), [
    `${CLAIM}holds here, with intervals that do not overlap.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [3, 1] })]), [
    `${CLAIM}cannot be told here, for intervals overlap, for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [1.5, 1] })]), [
    `${CLAIM}cannot be told here, for intervals overlap, for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd, result('no_kd', { FD: [0.5, 0.5] })]), [
    `${CLAIM}does not hold here for kd against no_kd.`,
  ]);
  t.strictSame(verdicts(DISTILLATION_TITLE, [kd]), [], 'nothing is said of what was not run');
  const higher = verdicts(PERSONAL_TITLE, [
    result('dreambooth_teacher_dog', { DINO: [0.9, 0.01] }),
    result('untuned_teacher_dog', { DINO: [0.5, 0.02] }),
  ]);
  t.strictSame(higher, [
    '**Tuning brings the subject into the pictures** (DINO): holds here, with intervals that do not overlap.',
  ]);
  t.end();
});

void t.test('a value is printed with two digits of its interval', (t) => {
  const printed = (...scores: Parameters<typeof result>[1][]) =>
    withInterval(valueOf(result('no_kd', ...scores), 'FD'));
  t.equal(printed({ FD: [12.3456, 0.0321] }), '12.346 ± 0.032');
  t.equal(printed({ FD: [123.456, 4.321] }), '123.5 ± 4.3');
  t.equal(printed({ FD: [0.5, null] }), '0.5000');
  t.equal(printed({}), '');
  // Student: 4.3027 times the deviation 1 over the root of 3
  t.equal(printed({ FD: [3, 0.1] }, { FD: [4, 0.1] }, { FD: [5, 0.1] }), '4.0 ± 2.5', 'over trainings');
  t.equal(printed({ FD: [3, 0.1] }, {}), '', 'not of a part of them');
  t.equal(percent(valueOf(result('no_kd', { FD: [0.925, 0.01] }), 'FD')), '92.5 ± 1.0 %');
  t.end();
});

void t.test('a mean over subjects is of each training, or of each seed of pictures', (t) => {
  const subject = (id: string, ...trainings: readonly number[]): Result => {
    const made = result(id, ...trainings.map((DINO) => ({ DINO: [DINO, 0.1] as const })));
    return {
      ...made,
      done: made.done.map((one, i) => ({
        ...one,
        training: { parameters: 7, secondsPerStep: trainings[i] / 10, memory: trainings[i] },
      })),
    };
  };
  const trainings = { dog: [1, 2, 3], face: [3, 4, 5], cat: [2, 3, 4], robot: [2, 3, 4] } as const,
    tuned = SUBJECT_NAMES.map((name) => subject(`dreambooth_tiny_${name}`, ...trainings[name]));
  const [mean, ...others] = meansOverSubjects(tuned);
  t.strictSame(others, []);
  t.equal(mean.row.title, 'Tiny, tuned');
  t.equal(withInterval(valueOf(mean, 'DINO')), '3.0 ± 2.5', '2, 3 and 4');
  t.match(mean.done[0].training, { parameters: 7, secondsPerStep: 0.2, memory: 3 });
  t.strictSame(meansOverSubjects(tuned.slice(1)), [], 'a subject is missing');

  const untuned = SUBJECT_NAMES.map((name, i): Result => {
    const made = result(`untuned_tiny_${name}`, { DINO: [i, 0.1] });
    const [score] = made.done[0].evaluation.scores;
    const evaluation = { ...made.done[0].evaluation, scores: [{ ...score, per_seed: [i - 1, i, i + 1] }] };
    return { ...made, done: [{ ...made.done[0], evaluation }] };
  });
  t.equal(withInterval(valueOf(meansOverSubjects(untuned)[0], 'DINO')), '1.5 ± 2.5', '0.5, 1.5 and 2.5');
  t.end();
});
