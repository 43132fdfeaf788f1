/** LoRA gradients, and LoRA training through the engine's own step. */
import { TrainStep } from '../../src/engine/train-step.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Parameters } from '../../src/engine/parameters.js';
import { clipText } from '../../src/networks/clip-text.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { recorded, recordText } from '../../src/networks/record.js';
import { ADAPTERS } from '../../src/adapters/adapter-kind.js';
import { LoRA } from '../../src/adapters/lora.js';
import { NetworkAdapter } from '../../src/adapters/network-adapter.js';
import type { Output } from '../../src/registry/schema.js';
import { validateComponent } from '../../src/registry/validate.js';
import { weightedMse } from '../../src/models/losses/l2-loss.js';
import type { Model } from '../../src/models/model.js';
import { unet } from '../../src/networks/unet.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import type { WeightFile } from '../../src/formats/weight-file.js';
import { grad } from '../../src/tensor/autodiff.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { mean, square, sub } from '../../src/tensor/ops.js';
import { input, type Tensor } from '../../src/tensor/tensor.js';
import { asFloats, leaf, toInt32, toNumbers, type Golden, type LoadedUNet } from './context.js';
import { compareGradients, fed, gradients, type Values } from './gradients.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';
import { compareUpdates, flatten } from './updates.js';

const PEFT = 'base_model.model.';

/** Values below `prefix` with PEFT names, by parameter name `part.module.side.weight`. */
async function peftValues(file: WeightFile, prefix: string, part: string): Promise<Values> {
  const start = `${prefix}/${PEFT}`;
  const out: Values = {};
  for (const name of file.entries.keys())
    if (name.startsWith(start)) out[`${part}.${name.slice(start.length)}`] = await file.read(name);
  return out;
}

/** How the losses of the reference runs weigh their samples; the first half of the batch is instance, the second class. */
function sampleWeights(mode: string, prior: number | null, rows: number): HostTensor {
  const scale = mode === 'prior' ? 2 : 1; // diffusers adds two means, each over half of the batch
  const weigh = (i: number): number =>
    (mode === 'plain' || mode === 'v_prediction' || i < rows / 2 ? 1 : Number(prior)) *
    (mode === 'plain' || mode === 'v_prediction' ? 1 : scale);
  return float32(
    Array.from({ length: rows }, (_, i) => weigh(i)),
    [rows],
  );
}

interface LoraConfig {
  readonly r: number;
  readonly lora_alpha: number;
  readonly target_modules?: readonly string[];
}

/** LoRA on a network; without targets, on the projections of attention. */
function adapterOf(
  shapes: LoadedUNet['shapes'],
  { r, lora_alpha, target_modules }: LoraConfig,
  part = 'unet',
): NetworkAdapter {
  const config = { type: 'LoRA', r, lora_alpha, ...(target_modules && { target_modules }) };
  const options = validateComponent(ADAPTERS, config);
  return new NetworkAdapter(new LoRA(options as Output<typeof LoRA.options>), part, shapes, 'lora'); // as just checked
}

interface Variant {
  readonly data: string;
  readonly mode: string;
  readonly prior_loss_weight: number | null;
  readonly loss: number;
  readonly grad_norm: number;
}

export async function checkLoraGradients(golden: Golden, file: string, kind: string): Promise<void> {
  const reference = await golden.reference(file),
    net = await golden.unet(kind);
  const meta = golden.meta<LoraConfig & { variants: Record<string, Variant> }>(file);
  const source = adapterOf(net.shapes, meta).source(net.source, fed);
  const init = await peftValues(reference, 'init', 'unet');
  for (const [variant, { data, mode, prior_loss_weight: prior, loss: expectedLoss, grad_norm: norm }] of Object.entries(
    meta.variants,
  )) {
    const read = (name: string): Promise<HostTensor> => reference.read(`data.${data}/${name}`);
    const [sample, text, noise, latents, timesteps] = [
      await read('noisy_latents'),
      await read('encoder_hidden_states'),
      await read('noise'),
      await read('latents'),
      await read('timesteps'),
    ];
    const target = mode === 'v_prediction' ? velocities(latents, noise, toNumbers(timesteps)) : noise;
    const weights = sampleWeights(mode, prior, sample.shape[0]);
    const { out } = unet(
      new Scope(source),
      {
        sample: leaf('sample', sample),
        timesteps: input('timesteps', timesteps.shape),
        encoderHiddenStates: leaf('text', text),
      },
      net.config,
    );
    const loss = weightedMse(out, leaf('target', target), leaf('weights', weights), 1);
    const grads = gradients(loss, Object.keys(init));
    const results = await evaluate(
      golden,
      file,
      { loss, out, ...grads },
      { sample, text, timesteps: asFloats(timesteps), target, weights, ...init },
    );
    golden.report.rel(`${variant}/loss`, floats(results['loss']), [expectedLoss], LIMITS.loss);
    golden.report.rel(
      `${variant}/model_pred`,
      floats(results['out']),
      floats(await reference.read(`grad.${variant}.pred/model_pred`)),
      LIMITS.network,
    );
    const expected = await peftValues(reference, `grad.${variant}`, 'unet');
    compareGradients(golden, variant, results, expected);
    golden.report.rel(
      `${variant}/grad_norm`,
      [Math.hypot(...Object.keys(expected).flatMap((n) => Array.from(floats(results[n]))))],
      [norm],
      LIMITS.gradientWhole,
    );
  }
}

function velocities(latents: HostTensor, noise: HostTensor, timesteps: readonly number[]): HostTensor {
  const schedule = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 });
  const size = latents.data.length / timesteps.length;
  const rows = timesteps.map((t, i) =>
    schedule.velocity(
      floats(latents).slice(i * size, (i + 1) * size),
      floats(noise).slice(i * size, (i + 1) * size),
      t,
    ),
  );
  return float32(Float32Array.from(rows.flatMap((r) => Array.from(r))), latents.shape);
}

export async function checkTextLoraGradients(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    net = await golden.unet('base'),
    { config: textConfig, source: textSource } = await golden.text();
  const meta = golden.meta<{
    r: number;
    lora_alpha: number;
    text_targets: string[];
    unet_targets: string[];
    loss: number;
  }>(file);
  const lora = { r: meta.r, lora_alpha: meta.lora_alpha };
  const unetSource = adapterOf(net.shapes, { ...lora, target_modules: meta.unet_targets }).source(net.source, fed);
  const textShapes = recorded((s) => recordText(s, textConfig));
  const text = adapterOf(textShapes, { ...lora, target_modules: meta.text_targets }, 'text');
  const init = {
    ...(await peftValues(reference, 'init.unet', 'unet')),
    ...(await peftValues(reference, 'init.text', 'text')),
  };
  const read = (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
  const [ids, sample, noise, timesteps] = [
    toInt32(await read('input_ids')),
    await read('noisy_latents'),
    await read('noise'),
    asFloats(await read('timesteps')),
  ];
  const { lastHiddenState: states } = clipText(new Scope(text.source(textSource, fed)), leaf('ids', ids), textConfig);
  const { out } = unet(
    new Scope(unetSource),
    { sample: leaf('sample', sample), timesteps: leaf('timesteps', timesteps), encoderHiddenStates: states },
    net.config,
  );
  const loss = mean(square(sub(out, leaf('noise', noise))));
  const grads = gradients(loss, Object.keys(init));
  const [ehs] = grad(loss, [states]);
  const results = await evaluate(
    golden,
    file,
    { loss, out, states, ehs, ...grads },
    { ids, sample, noise, timesteps, ...init },
  );
  golden.report.rel('loss', floats(results['loss']), [meta.loss], LIMITS.loss);
  golden.report.rel(
    'out/model_pred',
    floats(results['out']),
    floats(await reference.read('out/model_pred')),
    LIMITS.network,
  );
  golden.report.rel(
    'out/encoder_hidden_states',
    floats(results['states']),
    floats(await reference.read('out/encoder_hidden_states')),
    LIMITS.network,
  );
  golden.report.rel(
    'grad.ehs/encoder_hidden_states',
    floats(results['ehs']),
    floats(await reference.read('grad.ehs/encoder_hidden_states')),
    LIMITS.gradient,
  );
  compareGradients(golden, 'grad.unet', results, await peftValues(reference, 'grad.unet', 'unet'));
  compareGradients(golden, 'grad.text', results, await peftValues(reference, 'grad.text', 'text'));
}

interface TrainMeta extends LoraConfig {
  readonly mode: string;
  readonly prior_loss_weight?: number;
  readonly init?: string;
  readonly clip_grad_norm: number;
  readonly optimizer: {
    readonly lr: number;
    readonly betas: [number, number];
    readonly eps: number;
    readonly weight_decay: number;
  };
}

/** Trains with the engine's compiled step on the recorded data, and compares after each recorded number of steps. */
export async function checkLoraTraining(golden: Golden, file: string, kind: string): Promise<void> {
  const reference = await golden.reference(file),
    net = await golden.unet(kind),
    meta = golden.meta<TrainMeta>(file);
  const initFile = /(\S+\.safetensors)/.exec(meta.init ?? '')?.[1] ?? `lora_grads_${kind}_r${meta.r}.safetensors`;
  const init = await peftValues(await golden.reference(initFile), 'init', 'unet');
  const adapter = adapterOf(net.shapes, meta);
  const source = adapter.source(net.source);
  const model = {
    loss: (types: Record<string, Tensor>) => {
      const { out } = unet(
        new Scope(source),
        { sample: types['sample'], timesteps: types['timesteps'], encoderHiddenStates: types['text'] },
        net.config,
      );
      return { loss: weightedMse(out, types['target'], types['weights'], 1) };
    },
    buffers: () => ({}),
  } as unknown as Model; // the step asks a model for its loss and its buffers only
  const parameters = new Parameters(adapter.parameters);
  const optimizer = new AdamW(meta.optimizer);
  const data = async (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
  const [latents, noise, pool, index, timesteps] = [
    await data('latents'),
    await data('noise'),
    await data('encoder_hidden_states_pool'),
    await data('text_index'),
    await data('timesteps'),
  ];
  const [steps, rows] = index.shape,
    states = parameters.stateNames('params');
  const step = new TrainStep({
    model,
    backend: golden.backend,
    parameters,
    optimizer,
    clipMaxNorm: meta.clip_grad_norm,
    accumulativeCounts: 1,
    maxIters: steps,
  });
  await step.init(init);
  const sure = directed(await peftValues(reference, 'after1', 'unet'), init, meta.optimizer),
    losses: number[] = [],
    norms: number[] = [];
  for (let i = 0; i < steps; i++) {
    const cut = (t: HostTensor): HostTensor =>
      float32(floats(t).slice((i * t.data.length) / steps, ((i + 1) * t.data.length) / steps), t.shape.slice(1));
    const at = toNumbers(timesteps).slice(i * rows, (i + 1) * rows);
    const logs = await step.run(
      {
        sample: noisy(cut(latents), cut(noise), at),
        target: cut(noise),
        timesteps: float32(at, [rows]),
        text: pick(pool, toNumbers(index).slice(i * rows, (i + 1) * rows)),
        weights: sampleWeights(meta.mode, meta.prior_loss_weight ?? 1, rows),
      },
      { iteration: i, lr: optimizer.lr },
    );
    losses.push(logs['loss']);
    norms.push(logs['grad_norm']);
    const expected = await peftValues(reference, `after${i + 1}`, 'unet');
    if (Object.keys(expected).length > 0)
      compareUpdates(golden, {
        label: `after${i + 1}`,
        init,
        after: await parameters.read(golden.backend.states, 'params'),
        expected,
        sure,
        reach: 2 * meta.optimizer.lr, // of the first step, the one that rounding decides
        noise: 0,
      });
  }
  golden.report.rel('losses/losses', losses, floats(await reference.read('losses/losses')), LIMITS.loss);
  const expectedNorms = floats(await reference.read('losses/grad_norms_before_clip'));
  golden.report.rel(
    'losses/grad_norms_before_clip, first',
    norms.slice(0, 1),
    [expectedNorms[0]],
    LIMITS.gradientWhole,
  );
  golden.report.rel('losses/grad_norms_before_clip', norms, expectedNorms, LIMITS.normAfterUpdates);
  await step.dispose();
  for (const name of states) await golden.backend.states.delete(name);
}

/**
 * Of each parameter, whether the reference's first step tells which way its gradient points. Adam moves it by
 * lr g / (|g| + eps). Gradients as a whole have a length of 1 at most (they are clipped); where |g| is below float32's
 * resolution of that, rounding alone decides how far and which way.
 */
function directed(first: Values, init: Values, { lr, eps }: TrainMeta['optimizer']): boolean[] {
  const names = Object.keys(first),
    start = flatten(names, init),
    least = (lr * LIMITS.gradientRounding) / (LIMITS.gradientRounding + eps);
  return flatten(names, first).map((v, i) => Math.abs(v - start[i]) >= least);
}

function noisy(latents: HostTensor, noise: HostTensor, timesteps: readonly number[]): HostTensor {
  const schedule = new NoiseSchedule({ beta_schedule: 'scaled_linear', beta_start: 0.00085, beta_end: 0.012 });
  const size = latents.data.length / timesteps.length;
  const rows = timesteps.map((t, i) =>
    Array.from(
      schedule.addNoise(
        floats(latents).slice(i * size, (i + 1) * size),
        floats(noise).slice(i * size, (i + 1) * size),
        t,
      ),
    ),
  );
  return float32(Float32Array.from(rows.flat()), latents.shape);
}

/** Rows of [N, T, D] by index. */
function pick(pool: HostTensor, rows: readonly number[]): HostTensor {
  const [, T, D] = pool.shape,
    size = T * D;
  return float32(Float32Array.from(rows.flatMap((r) => Array.from(floats(pool).subarray(r * size, (r + 1) * size)))), [
    rows.length,
    T,
    D,
  ]);
}
