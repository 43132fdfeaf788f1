/** Distillation: the component's loss against the reference numbers, what it is fed, what it refuses. */
import { join } from 'node:path';
import t from 'tap';
import { loadComponents } from '../../src/components.js';
import { Renderer } from '../../src/sampling/renderer.js';
import { studentKey } from '../../src/models/block-removal.js';
import { presetTaps } from '../../src/models/distill-presets.js';
import { readJson } from '../../src/formats/read-json.js';
import { LAYOUTS, writeRandomModel } from '../../src/models/random-model.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import { parseUNetConfig } from '../../src/networks/unet-config.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { Rng } from '../../src/base/rng.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { substitute } from '../../src/tensor/passes/rewrite.js';
import { leafName, topo, weight, type Tensor } from '../../src/tensor/tensor.js';
import { Lines } from '../fixtures/engine/linear-run.js';
import { distillation, first, same } from '../fixtures/models/distill.js';
import { evaluate, TINY, wave } from '../fixtures/networks/networks.js';
import { golden, relativeError, skipGolden } from '../golden.js';

t.setTimeout(300_000);
await loadComponents();

const { backend, root, teacher, loaded, ready } = await distillation(t);
const valuesOf = (results: Record<string, HostTensor>, name: string): Float32Array => floats(results[name]);

/** Parameters of the model as literals. */
function bound(outputs: readonly Tensor[], values: Readonly<Record<string, HostTensor>>): Tensor[] {
  return substitute(outputs, (leaf) => {
    if (leaf.node.op !== 'parameter') return undefined;
    const value = values[leafName(leaf)];
    return weight({ key: leafName(leaf), value }, { dtype: 'float32', shape: value.shape });
  });
}

const STEP = {
  noisy_latents: wave([2, 4, 8, 8]),
  target: wave([2, 4, 8, 8], 7),
  timesteps: float32([10, 700], [2]),
  weights: float32([1, 1], [2]),
  encoder_hidden_states: wave([2, 77, 32], 3),
};
/** Loss and logs on one fixed batch. */
async function lossOf(options: object): Promise<Record<string, number>> {
  const model = await loaded(options),
    { loss, logs } = model.loss(STEP);
  const names = ['loss', ...Object.keys(logs)],
    outputs = bound([loss, ...Object.values(logs)], await model.initialValues(new Rng(0)));
  const results = await evaluate(backend, Object.fromEntries(names.map((n, i) => [n, outputs[i]])), STEP);
  return Object.fromEntries(names.map((n) => [n, valuesOf(results, n)[0]]));
}

interface Meta {
  readonly grad_norm_order: Record<string, string[]>;
  readonly runs: Record<
    string,
    {
      student: string;
      loss: number;
      loss_task: number;
      loss_output_kd: number;
      loss_features_sum: number;
      total_grad_norm: number;
    }
  >;
}
for (const [run, preset] of [
  ['bk.small', 'bk_sdm'],
  ['bk.bk_small', 'bk_sdm'],
  ['bk.tiny', 'bk_sdm'],
  ['segmind.small', 'segmind'],
  ['segmind.tiny', 'segmind'],
] as const) {
  void t.test(
    `${run}: losses, gradient norms and gradients are those of the published code`,
    { skip: skipGolden },
    async (t) => {
      const { meta } = (
        (await readJson(golden('reference/index.json'), 'it describes the numbers')) as Record<string, { meta: Meta }>
      )['distill.safetensors'];
      const expected = meta.runs[run],
        reference = await openSafetensors(golden('reference/distill.safetensors'));
      const data = async (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
      const timesteps = Float32Array.from((await data('timesteps')).data as BigInt64Array, Number),
        rows = timesteps.length;
      const feeds = {
        noisy_latents: await data('noisy_latents'),
        target: await data('noise'),
        encoder_hidden_states: await data('encoder_hidden_states'),
        timesteps: float32(timesteps, [rows]),
        weights: float32(new Float32Array(rows).fill(1), [rows]),
      };
      const model = await loaded({ model: golden('tiny-sd-random'), block_removal: expected.student, preset }),
        { loss, logs } = model.loss(feeds);
      const leaves = topo([loss])
          .filter((n) => n.op === 'parameter')
          .map((n) => n.outs[0]),
        names = leaves.map(leafName);
      t.strictSame(new Set(names), new Set(model.parameters().keys()), 'every parameter of the student is trained');
      const outputs = bound(
        [loss, logs['loss_task'], logs['loss_output'], logs['loss_feature'], ...grad(loss, leaves)],
        await model.initialValues(new Rng(0)),
      );
      const results = await evaluate(
        backend,
        Object.fromEntries(['loss', 'task', 'output', 'feature', ...names].map((n, i) => [n, outputs[i]])),
        feeds,
      );
      const near = (actual: ArrayLike<number>, wanted: ArrayLike<number>, limit: number, what: string): void => {
        const error = relativeError(actual, wanted);
        t.ok(error < limit, `${what}: ${error}`);
      };
      near(valuesOf(results, 'loss'), [expected.loss], 1e-5, 'loss');
      near(valuesOf(results, 'task'), [expected.loss_task], 1e-5, 'task');
      near(valuesOf(results, 'output'), [expected.loss_output_kd], 1e-5, 'output');
      near(valuesOf(results, 'feature'), [expected.loss_features_sum], 1e-5, 'feature');
      const norms = meta.grad_norm_order[expected.student].map((key) =>
        Math.hypot(...valuesOf(results, `unet.${key}`)),
      );
      near(norms, floats(await reference.read(`${run}/grad_norms`)), 1e-3, 'gradient norms');
      near([Math.hypot(...norms)], [expected.total_grad_norm], 1e-4, 'total gradient norm');
      const stored = [...reference.entries.keys()].filter((n) => n.startsWith(`${run}/grad.`));
      t.ok(stored.length >= 8);
      for (const name of stored)
        near(
          valuesOf(results, `unet.${name.slice(`${run}/grad.`.length)}`),
          floats(await reference.read(name)),
          1e-3,
          name,
        );
    },
  );
}

void t.test('presets: which hidden states are compared depends on the layouts of both networks', async (t) => {
  const unet = (stages: number, layers: number, mid: boolean) =>
    parseUNetConfig(
      {
        block_out_channels: [8, 16, 16, 16].slice(0, stages),
        layers_per_block: layers,
        norm_num_groups: 8,
        attention_head_dim: 2,
        mid_block_type: mid ? 'UNetMidBlock2DCrossAttn' : null,
        down_block_types: Array<string>(stages).fill('CrossAttnDownBlock2D'),
        up_block_types: Array<string>(stages).fill('CrossAttnUpBlock2D'),
      },
      'unet',
    );
  const sd = unet(4, 2, true);
  const equal = (...names: string[]): string[][] => names.map((n) => [n, n]);
  const down = equal('down_blocks.0', 'down_blocks.1', 'down_blocks.2', 'down_blocks.3'),
    up = equal('up_blocks.0', 'up_blocks.1', 'up_blocks.2', 'up_blocks.3');
  t.strictSame(presetTaps('bk_sdm', sd, unet(4, 1, true)), [...up, ...down]);
  t.strictSame(presetTaps('segmind', sd, unet(4, 1, true)), [...down, ...equal('mid_block'), ...up]);
  t.strictSame(presetTaps('segmind', sd, unet(4, 1, false)), [...down, ...up]);
  const shifted = [
    ['up_blocks.1', 'up_blocks.0'],
    ['up_blocks.2', 'up_blocks.1'],
    ['up_blocks.3', 'up_blocks.2'],
  ];
  t.strictSame(presetTaps('bk_sdm', sd, unet(3, 1, false)), [
    ...down.slice(0, 2),
    ['down_blocks.2.attentions.1.proj_out', 'down_blocks.2.attentions.0.proj_out'],
    ...shifted,
  ]);
  t.strictSame(presetTaps('segmind', sd, unet(3, 1, false)), [
    ...down.slice(0, 2),
    ['up_blocks.0', 'down_blocks.2'],
    ...shifted,
  ]);
  t.throws(() => presetTaps('bk_sdm', sd, unet(2, 1, false)), {
    name: 'UserError',
    message:
      'model.preset: "bk_sdm" pairs networks of equally many stages or one less, the teacher has 4 and the student 2; give model.taps',
  });
});

void t.test(
  'the loss is the weighted sum of its terms; a weight of 0 leaves its term out, and the teacher with the last of its terms',
  async (t) => {
    const near = (actual: number, expected: number): void =>
      void t.ok(Math.abs(actual - expected) < 1e-5 * expected, `${actual} is ${expected}`);
    const bk = await lossOf({ block_removal: 'tiny' }),
      { loss_task: task, loss_output: output, loss_feature: feature } = bk;
    near(bk['loss'], task + output + feature);
    near(
      (await lossOf({ block_removal: 'tiny', task_weight: 0.25, output_weight: 2, feature_weight: 3 }))['loss'],
      0.25 * task + 2 * output + 3 * feature,
    );
    const segmind = await lossOf({ block_removal: 'tiny', preset: 'segmind' });
    near(segmind['loss'], segmind['loss_task'] + 0.5 * segmind['loss_output'] + 0.5 * segmind['loss_feature']);
    const noFeatures = await lossOf({ block_removal: 'tiny', feature_weight: 0 });
    t.strictSame(Object.keys(noFeatures), ['loss', 'loss_task', 'loss_output']);
    near(noFeatures['loss'], task + output);
    const alone = await loaded({ block_removal: 'tiny', feature_weight: 0, output_weight: 0 }),
      { loss, logs } = alone.loss(STEP);
    t.strictSame(Object.keys(logs), ['loss_task']);
    t.notOk(
      topo([loss]).some((n) => n.op === 'weight'),
      'no weight of the teacher is read',
    );
  },
);

void t.test('taps may be chosen: blocks, convolutions and linear layers, by the names of their modules', async (t) => {
  const one = async (...taps: [string, string][]): Promise<number> =>
    (await lossOf({ block_removal: 'small', taps, task_weight: 0, output_weight: 0 }))['loss'];
  const [mid, key] = [
    await one(['mid_block', 'mid_block']),
    await one([
      'up_blocks.2.attentions.2.transformer_blocks.0.attn2.to_k',
      'up_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k',
    ]),
  ];
  t.ok(mid > 0);
  t.equal(key, 0, 'the same weights on the same text');
  t.equal(await one(['conv_in', 'conv_in']), 0, 'the same weights on the same latents');
  t.equal(await one(['mid_block', 'mid_block'], ['conv_in', 'conv_in']), mid);
});

void t.test('a student by block removal starts with the weights of its teacher', async (t) => {
  const model = await loaded({ block_removal: 'tiny' }),
    values = await model.initialValues(new Rng(0));
  const weights = await openSafetensors(join(teacher, 'unet/diffusion_pytorch_model.safetensors'));
  let copied = 0;
  for (const name of weights.entries.keys()) {
    const key = studentKey(name, 'tiny');
    if (key === undefined) continue;
    t.ok(same(values[`unet.${key}`], await weights.readFloat32(name)), key);
    copied++;
  }
  t.equal(copied, model.parameters().size);
});

void t.test("init random: the same layout, torch's default bounds, the same numbers from the same seed", async (t) => {
  const model = await loaded({ block_removal: 'bk_small', init: 'random' });
  const values = await model.initialValues(new Rng(5));
  t.strictSame([...Object.keys(values)], [...model.parameters().keys()]);
  const again = await model.initialValues(new Rng(5));
  t.strictSame(
    Object.keys(values).filter((name) => !same(values[name], again[name])),
    [],
  );
  t.notOk(same(values['unet.conv_in.weight'], (await model.initialValues(new Rng(6)))['unet.conv_in.weight']));
  t.ok(floats(values['unet.conv_norm_out.weight']).every((v) => v === 1));
  t.ok(floats(values['unet.conv_norm_out.bias']).every((v) => v === 0));
  for (const name of ['unet.conv_in.weight', 'unet.conv_in.bias']) {
    const largest = Math.max(...floats(values[name]).map(Math.abs)); // fan in 4 * 3 * 3
    t.ok(largest <= 1 / 6 && largest > 0.9 / 6, `${name}: ${largest}`);
  }
  t.ok(
    (await lossOf({ block_removal: 'bk_small', init: 'random' }))['loss'] >
      (await lossOf({ block_removal: 'bk_small' }))['loss'],
  );
});

const SAMPLES = [0, 1].map((i) => ({ img: wave([3, 64, 64], i), text: `a dog ${i}` }));

void t.test('epsilon and v prediction: the same noisy latents, targets that belong together', async (t) => {
  const step = { iteration: 3, rng: new Rng(1) };
  const epsilon = await (await ready({ block_removal: 'small' })).feeds(SAMPLES, step);
  const velocity = await (
    await ready({ block_removal: 'small', prediction_type: 'v_prediction' })
  ).feeds(SAMPLES, step);
  t.ok(same(velocity['noisy_latents'], epsilon['noisy_latents']));
  const schedule = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 });
  const size = floats(epsilon['target']).length / 2;
  for (const row of [0, 1]) {
    const cut = (t: HostTensor): Float32Array => floats(t).slice(row * size, (row + 1) * size),
      timestep = floats(epsilon['timesteps'])[row];
    // noise = alpha v + sigma x_t, whose factors add_noise shows
    const one = new Float32Array(1).fill(1),
      none = new Float32Array(1),
      [alpha] = schedule.addNoise(one, none, timestep),
      [sigma] = schedule.addNoise(none, one, timestep);
    const noisy = cut(velocity['noisy_latents']);
    t.ok(
      relativeError(
        cut(velocity['target']).map((v, i) => alpha * v + sigma * noisy[i]),
        cut(epsilon['target']),
      ) < 1e-5,
    );
  }
});

void t.test('a loss by noise level weighs the rows of the task, not what is learnt from the teacher', async (t) => {
  const model = await ready({ block_removal: 'small', loss: { type: 'SNRL2Loss' } });
  const { weights, timesteps } = await model.feeds(SAMPLES, { iteration: 0, rng: new Rng(1) });
  const snr = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 }).snr();
  t.same(
    Array.from(floats(weights)),
    Array.from(floats(timesteps), (at) => Math.fround(Math.min(snr[at], 5) / snr[at])),
  );
  const plain = await lossOf({ block_removal: 'small' }),
    { loss, logs } = model.loss(STEP);
  const outputs = bound(
    [loss, logs['loss_task'], logs['loss_output'], logs['loss_feature']],
    await model.initialValues(new Rng(0)),
  );
  const results = await evaluate(
    backend,
    { loss: outputs[0], task: outputs[1], output: outputs[2], feature: outputs[3] },
    { ...STEP, weights: float32([0, 0], [2]) },
  );
  t.strictSame(
    ['task', 'output', 'feature'].map((n) => valuesOf(results, n)[0]),
    [0, plain['loss_output'], plain['loss_feature']],
  );
});

void t.test('the student draws; the base is the teacher', async (t) => {
  const model = await ready({ block_removal: 'small' });
  const request = { prompts: ['a dog'], seeds: [3], steps: 2, guidance_scale: 3, height: 64, width: 64 };
  const whole = await Renderer.open(teacher, [], backend, new Lines());
  const drawn = await first(whole.render(request));
  t.ok(same(await first(model.sample({ ...request, weights: 'base' })), drawn));
  t.notOk(same(await first(model.sample(request)), drawn));
  await whole.dispose();
  await model.executor.dispose();
});

for (const [title, options, message] of [
  [
    'no student',
    {},
    'model: neither block_removal nor student is set; give block_removal to make the student of the teacher, or the pipeline of a student',
  ],
  [
    'two students',
    { block_removal: 'tiny', student: 'x' },
    'model: both block_removal and student are set; give block_removal to make the student of the teacher, or the pipeline of a student',
  ],
  [
    'nothing to learn from',
    { block_removal: 'tiny', task_weight: 0, output_weight: 0, feature_weight: 0 },
    'model: task_weight, output_weight and feature_weight are all 0; there is nothing to learn from',
  ],
  ['a pair of three', { block_removal: 'tiny', taps: [['a', 'b', 'c']] }, /^model\.taps\.0: /],
  [
    'a misspelt module',
    {
      block_removal: 'small',
      taps: [
        ['mid_block', 'mid_block'],
        ['up_blocks.1', 'up_blok.1'],
      ],
    },
    'model.taps.1.1: the student has no module "up_blok.1"; did you mean "up_blocks.1"?',
  ],
  [
    'modules of different shapes',
    { block_removal: 'small', taps: [['down_blocks.0', 'down_blocks.1']] },
    'model.taps.0: "down_blocks.0" of the teacher gives [1,16,4,4], "down_blocks.1" of the student [1,32,2,2]; pair modules of equal shape',
  ],
  [
    'a teacher without blocks to spare',
    { model: TINY, block_removal: 'small' },
    /tiny-random-sd\/unet\/config\.json: layers_per_block is 1; blocks are removed from U-Nets of SD 1\.x and 2\.x only/,
  ],
] as const) {
  void t.test(`refused before training: ${title}`, async (t) => {
    await t.rejects(async () => loaded(options), { name: 'UserError', message });
  });
}

void t.test('a student for other texts is refused', async (t) => {
  const other = join(root, 'other-texts'),
    { unet, vae, text } = LAYOUTS['tiny-random'];
  await writeRandomModel(
    other,
    { unet: { ...unet, cross_attention_dim: 16 }, vae, text: { ...text, hidden_size: 16 } },
    { dtype: 'float16', seed: 0 },
  );
  await t.rejects(loaded({ student: other }), {
    name: 'UserError',
    message: /other-texts\/unet\/config\.json: cross_attention_dim is 16, the teacher's is 32/,
  });
});
