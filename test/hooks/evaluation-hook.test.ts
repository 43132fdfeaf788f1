/** The model before and after training, measured within a run of the linear model. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { loadComponents } from '../../src/components.js';
import { VOCABULARY } from '../../src/datasets/toyland/world.js';
import { EvaluationHook } from '../../src/hooks/evaluation-hook.js';
import { type PlannedRun, HOOKS } from '../../src/engine/hook.js';
import type { RunEvaluation } from '../../src/runs/evaluation-file.js';
import { ReportHook } from '../../src/hooks/report-hook.js';
import type { SampleRequest } from '../../src/sampling/sample-request.js';
import { writeRandomClip } from '../../src/models/random-clip.js';
import { createBuild } from '../../src/registry/container.js';
import { CACHE_DIR, LOGGER } from '../../src/registry/tokens.js';
import { reportData } from '../fixtures/hooks/report-data.js';
import { linearRun, Lines } from '../fixtures/engine/linear-run.js';

t.setTimeout(120_000);
await loadComponents();
const home = t.testdir(),
  clip = join(home, 'clip');
const SMALL = {
  text: {
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    max_position_embeddings: 16,
  },
  vision: {
    image_size: 8,
    patch_size: 4,
    hidden_size: 16,
    intermediate_size: 32,
    num_hidden_layers: 1,
    num_attention_heads: 2,
  },
  projection_dim: 8,
};
await writeRandomClip(clip, SMALL, VOCABULARY, 0);

const OPTIONS = {
  clip,
  prompts: ['a photo of sks dog', 'a cup'],
  num_images: 3,
  height: 16,
  width: 16,
  num_inference_steps: 2,
  guidance_scale: 1,
};
const hook = (options: object = {}, log = new Lines()): EvaluationHook =>
  createBuild([
    [LOGGER, log],
    [CACHE_DIR, home],
  ])(HOOKS, { type: 'EvaluationHook', ...OPTIONS, ...options }) as EvaluationHook;
const evaluation = (path: string): RunEvaluation =>
  JSON.parse(readFileSync(join(path, 'evaluation.json'), 'utf8')) as RunEvaluation;
const refused = (t: Test, options: object, message: string | RegExp): Promise<unknown> =>
  t.rejects(linearRun(t.testdir(), { maxIters: 1, hooks: [hook(options)] }), { name: 'UserError', message });

void t.test(
  'EvaluationHook: CLIP-I and CLIP-T before and after training, in the log, a file and the report',
  async (t) => {
    const path = t.testdir(),
      log = new Lines();
    await linearRun(path, {
      maxIters: 20,
      lr: 0.1,
      hooks: [new ReportHook({ interval: -1 }, new Lines()), hook({}, log)],
    });
    const { before, after, settings } = evaluation(path);
    t.match(log.lines, [/^CLIP-I -?\d\.\d{3} -> -?\d\.\d{3}, CLIP-T -?\d\.\d{3} -> -?\d\.\d{3}$/]);
    t.strictSame(
      before.map(({ name }) => name),
      ['CLIP-I', 'CLIP-T'],
    );
    t.notSame(after, before, 'training changed the pictures');
    t.strictSame(settings['prompts'], ['a photo of sks dog', 'a cup', 'a photo of sks dog']);
    t.strictSame(settings['texts'], ['a photo of dog', 'a cup', 'a photo of dog'], 'CLIP is not shown the rare word');
    const { view } = reportData(join(path, 'report.html'));
    t.strictSame(
      view.evaluations.map(({ iter, scores }) => [iter, scores.map(({ name, value }) => [name, value])]),
      [before, after ?? []].map((scores, i) => [i === 0 ? -1 : 19, scores.map(({ name, value }) => [name, value])]),
    );
  },
);

void t.test('EvaluationHook: the same numbers each time; with several seeds an interval', async (t) => {
  const path = t.testdir({ a: {}, b: {}, two: {} });
  for (const name of ['a', 'b']) await linearRun(join(path, name), { maxIters: 4, hooks: [hook()] });
  t.strictSame(evaluation(join(path, 'a')), evaluation(join(path, 'b')));
  const log = new Lines(),
    metrics = [{ type: 'ClipImageScore' }, { type: 'ClipImageScore', scale: 100 }];
  await linearRun(join(path, 'two'), { maxIters: 4, hooks: [hook({ seeds: 2, metrics }, log)] });
  const [first] = evaluation(join(path, 'two')).before;
  t.equal(first.perSeed.length, 2);
  t.equal(first.perSeed[0], evaluation(join(path, 'a')).before[0].value, 'seed 0 draws the same');
  t.match(log.lines, [/^CLIP-I -?\d\.\d{3} ± \d\.\d{3} -> .*, CLIP-I \(2\) /]);
});

void t.test(
  'EvaluationHook: a resumed run keeps what was measured before training, unless other things are asked',
  async (t) => {
    const path = t.testdir(),
      draws: string[] = [];
    class Watched extends EvaluationHook {
      override async beforeTrain(run: Parameters<EvaluationHook['beforeTrain']>[0]): Promise<void> {
        const { model } = run,
          sample = model.sample.bind(model);
        model.sample = (request: SampleRequest) => {
          draws.push(String(request.weights));
          return sample(request);
        };
        await super.beforeTrain(run);
      }
    }
    const watched = (options: object = {}): Watched => {
      const build = createBuild([
        [LOGGER, new Lines()],
        [CACHE_DIR, home],
      ]);
      return new Watched(
        {
          ...OPTIONS,
          metrics: [{ type: 'ClipImageScore' }],
          drop_tokens: ['sks'],
          seeds: 1,
          interval: -1,
          ...options,
        } as ConstructorParameters<typeof EvaluationHook>[0],
        build,
        home,
        new Lines(),
      );
    };
    await linearRun(path, { maxIters: 4, hooks: [watched()] });
    const first = evaluation(path);
    await linearRun(path, { maxIters: 8, resume: true, hooks: [watched()] });
    t.strictSame(draws, ['base', 'current', 'current']);
    t.strictSame(evaluation(path).before, first.before);
    await linearRun(path, { maxIters: 12, resume: true, hooks: [watched({ num_images: 2 })] });
    t.strictSame(draws.slice(3), ['base', 'current']);
  },
);

void t.test("EvaluationHook: what is left out is VisualizationHook's, and both drawings are planned for", async (t) => {
  const config = {
      custom_hooks: {
        gone: null,
        preview: {
          type: 'VisualizationHook',
          prompt: 'a cup',
          height: 8,
          negative_prompt: ['blue'],
          guidance_scale: 3,
          guidance_rescale: 0.5,
        },
      },
    },
    drawn: [SampleRequest, number][] = [];
  const run = {
    config,
    weights: 'ema',
    draws: async (request: SampleRequest, times: number) => void drawn.push([request, times]),
  } as unknown as PlannedRun;
  const { prompts: _prompts, height: _height, ...rest } = OPTIONS,
    build = createBuild([
      [LOGGER, new Lines()],
      [CACHE_DIR, home],
    ]);
  await (build(HOOKS, { type: 'EvaluationHook', ...rest, seeds: 2 }) as EvaluationHook).plan(run);
  const request = {
    prompts: ['a cup', 'a cup', 'a cup'],
    seeds: [0, 1, 2],
    negative_prompt: ['blue', 'blue', 'blue'],
    steps: 2,
    guidance_scale: 1,
    guidance_rescale: 0.5,
    height: 8,
    width: 16,
  };
  t.strictSame(drawn, [
    [{ ...request, weights: 'base' }, 2],
    [{ ...request, weights: 'ema' }, 2],
  ]);
});

void t.test('EvaluationHook: mistakes are told before the first iteration', async (t) => {
  await refused(
    t,
    { prompts: undefined },
    'EvaluationHook.prompts: none are given, and no VisualizationHook has any; write prompts: [...]',
  );
  await refused(t, { clip: join(home, 'none') }, /none.config\.json: missing; a CLIP checkpoint has one/);
  await refused(
    t,
    { instances: join(home, 'none') },
    /^EvaluationHook\.instances: .*none: cannot|^EvaluationHook\.instances: .*none: no such folder/,
  );
  await refused(
    t,
    { metrics: [{ type: 'FrechetDistance' }] },
    'EvaluationHook.metrics: FrechetDistance compares with reference pictures, which a run has not; measure it afterwards with "diffengine eval"',
  );
});
