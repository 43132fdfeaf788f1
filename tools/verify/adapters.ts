/** Adapters of PEFT's kinds: answers, gradients, training through the engine's own step, merged weights. */
import { mergedWeight } from '../../src/adapters/merged-weight.js';
import { adaptedSource, NetworkAdapter, parameterName } from '../../src/adapters/network-adapter.js';
import { loadPeft, readPeftKind } from '../../src/adapters/peft.js';
import { peftPlace } from '../../src/adapters/peft-modules.js';
import { adaptableModules } from '../../src/adapters/targets.js';
import { UserError } from '../../src/base/errors.js';
import { AdamW } from '../../src/engine/optimizers/adamw.js';
import { Parameters } from '../../src/engine/parameters.js';
import { TrainStep } from '../../src/engine/train-step.js';
import type { WeightFile } from '../../src/formats/weight-file.js';
import type { Model } from '../../src/models/model.js';
import { Scope, type ParamSource } from '../../src/networks/layers/scope.js';
import { unet } from '../../src/networks/unet.js';
import { float32, floats, type HostTensor, type Shape } from '../../src/tensor/host.js';
import { mean, square, sub } from '../../src/tensor/ops.js';
import { input, type Tensor, type TensorType } from '../../src/tensor/tensor.js';
import { toNumbers, type Golden, type LoadedUNet } from './context.js';
import { LIMITS } from './limits.js';
import { compareUpdates, flatten, SLACK } from './updates.js';
import { evaluate } from './networks.js';
import { compareGradients, fed, gradients } from './gradients.js';

type Values = Record<string, HostTensor>;

/** How the reference runs trained; see their README. */
const ADAMW = { betas: [0.9, 0.999] as [number, number], eps: 1e-8, weight_decay: 1e-2 };
const CLIP = 1;

/** @param kind name of the folder below `adapters/` */
export async function checkAdapter(golden: Golden, file: string, kind: string): Promise<void> {
  const folder = golden.find('adapters', kind, 'unet');
  if (folder === undefined)
    throw new UserError(`${golden.folder}: no adapters/${kind}/unet, which reference/${file} is about`);
  const reference = await golden.reference(file);
  const net = await golden.unet('base');
  const trained = await loadPeft(folder, 'unet', net.shapes);
  const { raw } = await readPeftKind(folder);
  // The reference is what PEFT does; see `peft_gradient` of LoHa, whose true gradient other tests hold to differences.
  const more = raw['peft_type'] === 'LOHA' ? { peft_gradient: true } : {};
  const { kind: own } = await readPeftKind(folder, more);
  const adapter = new NetworkAdapter(own, 'unet', net.shapes, folder);
  const init: Values = {};
  for (const [module, { values }] of trained)
    for (const [part, value] of Object.entries(values)) init[parameterName('unet', module, part)] = value;

  const data = async (name: string): Promise<HostTensor> => reference.read(`data/${name}`);
  const feeds = {
    sample: await data('noisy_latents'),
    timesteps: float32(toNumbers(await data('timesteps')), (await data('timesteps')).shape),
    text: await data('encoder_hidden_states'),
    target: await data('noise'),
  };
  const leaves = (): Record<string, Tensor> =>
    Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, input(name, shape)]));

  // As sampling applies it, with constants, and as training does, with parameters.
  const applied = predict(adaptedSource(net.source, trained), leaves(), net);
  const inputs = leaves();
  const prediction = predict(adapter.source(net.source, fed), inputs, net);
  const loss = mean(square(sub(prediction, inputs['target'])));
  const grads = gradients(loss, Object.keys(init));
  const results = await evaluate(golden, file, { applied, prediction, loss, ...grads }, { ...feeds, ...init });
  const expected = floats(await reference.read('out/model_pred'));
  const limit = Math.max(LIMITS.network, SLACK * golden.noise(file, 'out').rel);
  golden.report.rel('out/model_pred', floats(results['prediction']), expected, limit);
  golden.report.rel('out/model_pred (applied)', floats(results['applied']), expected, limit);
  const losses = floats(await reference.read('losses/losses'));
  golden.report.rel('loss', floats(results['loss']), [losses[0]], LIMITS.loss);
  compareGradients(golden, 'grad', results, await named(reference, 'grad', net));

  await train(golden, file, { adapter, net, init, feeds, losses, reference });
  await compareMerged(golden, file, { trained, net, feeds, reference });
}

const predict = (source: ParamSource, of: Readonly<Record<string, TensorType>>, net: LoadedUNet): Tensor =>
  unet(
    new Scope(source),
    {
      sample: of['sample'] as Tensor,
      timesteps: of['timesteps'] as Tensor,
      encoderHiddenStates: of['text'] as Tensor,
    },
    net.config,
  ).out;

/** Tensors below `prefix` by our parameter names. */
async function named(reference: WeightFile, prefix: string, net: LoadedUNet): Promise<Values> {
  const modules = adaptableModules(net.shapes);
  const out: Values = {};
  for (const key of reference.entries.keys()) {
    if (!key.startsWith(`${prefix}/`)) continue;
    const place = peftPlace(key.slice(prefix.length + 1), 'unet', modules);
    if (!place) throw new UserError(`${reference.files[0]}: "${key}" fits no module of the base U-Net`);
    out[parameterName('unet', place.module, place.name)] = await reference.read(key);
  }
  return out;
}

interface Training {
  readonly adapter: NetworkAdapter;
  readonly net: LoadedUNet;
  readonly init: Values;
  readonly feeds: Values;
  readonly losses: Float32Array;
  readonly reference: WeightFile;
}

/** Every step on the same batch, compared after as many steps as were recorded. */
async function train(
  golden: Golden,
  file: string,
  { adapter, net, init, feeds, losses, reference }: Training,
): Promise<void> {
  const source = adapter.source(net.source);
  const model = {
    loss: (types: Record<string, Tensor>) => ({
      loss: mean(square(sub(predict(source, types, net), types['target']))),
    }),
    buffers: () => ({}),
  } as unknown as Model; // the step asks a model for its loss and its buffers only
  const parameters = new Parameters(adapter.parameters as ReadonlyMap<string, Shape>);
  const { lr } = golden.meta<{ lr: number }>(file);
  const step = new TrainStep({
    model,
    backend: golden.backend,
    parameters,
    optimizer: new AdamW({ lr, ...ADAMW }),
    clipMaxNorm: CLIP,
    accumulativeCounts: 1,
    maxIters: losses.length,
  });
  await step.init(init);
  const found = { loss: [] as number[], norm: [] as number[] };
  const norms = floats(await reference.read('losses/grad_norms_before_clip'));
  const noise = golden.noise(file, 'losses');
  const grads = await named(reference, 'grad', net),
    unsure = SLACK * golden.noise(file, 'grad').abs;
  for (let i = 0; i < losses.length; i++) {
    const logs = await step.run(feeds, { iteration: i, lr });
    found.loss.push(logs['loss']);
    found.norm.push(logs['grad_norm']);
    const expected = await named(reference, `after${i + 1}`, net);
    if (Object.keys(expected).length === 0) continue;
    const label = `after${i + 1}`;
    compareUpdates(golden, {
      label,
      init,
      after: await parameters.read(golden.backend.states, 'params'),
      expected,
      sure: flatten(Object.keys(expected), grads).map((g) => Math.abs(g) > unsure),
      reach: 2 * lr * (i + 1),
      noise: golden.noise(file, label).abs,
    });
  }
  golden.report.rel('losses/losses', found.loss, losses, Math.max(LIMITS.loss, SLACK * noise.rel));
  golden.report.rel(
    'losses/grad_norms_before_clip',
    found.norm,
    norms,
    Math.max(LIMITS.gradientWhole, SLACK * noise.rel),
  );
  await step.dispose();
  for (const name of parameters.stateNames('params')) await golden.backend.states.delete(name);
}

interface Merging {
  readonly trained: Awaited<ReturnType<typeof loadPeft>>;
  readonly net: LoadedUNet;
  readonly feeds: Values;
  readonly reference: WeightFile;
}

/** The sample of merged weights that is given, and what the whole merged network answers. */
async function compareMerged(golden: Golden, file: string, { trained, net, feeds, reference }: Merging): Promise<void> {
  const merged = new Map<string, HostTensor>();
  for (const [module, values] of trained) {
    const name = `${module}.weight`;
    const weight = await net.source.weights.readFloat32(net.source.storedName(name));
    merged.set(name, mergedWeight(weight, values));
  }
  for (const key of reference.entries.keys()) {
    const name = key.startsWith('merged/') ? key.slice('merged/'.length) : undefined;
    if (name === undefined) continue;
    const [got, wanted] = [merged.get(name), floats(await reference.read(key))];
    if (got) golden.report.rel(key, floats(got), wanted, LIMITS.mergedWeight);
    else golden.report.missing(key);
  }
  const source: ParamSource = {
    get: (name, shape) => (merged.has(name) ? fed(`merged:${name}`, shape) : net.source.get(name, shape)),
  };
  const leaves = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, input(name, shape)]));
  const weights = Object.fromEntries(
    [...merged].map(([name, value]) => [`merged:${name}`, { ...value, shape: net.shapes.get(name) as Shape }]),
  );
  const results = await evaluate(golden, file, { out: predict(source, leaves, net) }, { ...feeds, ...weights });
  const wanted = floats(await reference.read('merged_out/model_pred'));
  const limit = Math.max(LIMITS.network, SLACK * golden.noise(file, 'merged_out').rel);
  golden.report.rel('merged_out/model_pred', floats(results['out']), wanted, limit);
}
