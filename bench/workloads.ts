/** What is measured: one repetition of each mode, as training and sampling run it. */
import { Executor } from '../src/backends/executor.js';
import type { Backend } from '../src/backends/backend.js';
import { AdamW } from '../src/engine/optimizers/adamw.js';
import { Parameters } from '../src/engine/parameters.js';
import { TrainStep } from '../src/engine/train-step.js';
import { DiffusionPipeline } from '../src/sampling/diffusion-pipeline.js';
import { openPipeline } from '../src/formats/pipeline/pipeline-folder.js';
import { Rng } from '../src/base/rng.js';
import { createBuild } from '../src/registry/container.js';
import { MODELS } from '../src/models/model.js';
import { LOGGER } from '../src/registry/tokens.js';
import { type Logger } from '../src/base/logger.js';
import { grad } from '../src/tensor/autodiff.js';
import { float32, type HostTensor, type Shape } from '../src/tensor/host.js';
import { attention, mul, square, sum } from '../src/tensor/ops.js';
import { input } from '../src/tensor/tensor.js';
import type { CaseSpec } from './cases.js';

export type Repetition = (i: number) => Promise<unknown>;

export const silent: Logger = { info: () => {}, warn: () => {}, debug: () => {} };
const random = (name: string, shape: Shape): HostTensor =>
  float32(new Rng(0).stream(name).normals(shape.reduce((a, b) => a * b, 1)), shape);

export async function workload(backend: Backend, spec: CaseSpec): Promise<Repetition> {
  if (spec.mode === 'lora' || spec.mode === 'full') return training(backend, spec);
  return spec.mode === 'attention' ? attending(backend, spec) : inference(backend, spec);
}

/** Forward, backward, clipping and AdamW; the opponent's setting: rank 8 on the four projections of every attention. */
async function training(backend: Backend, { folder, mode, size, batch, reps }: CaseSpec): Promise<Repetition> {
  const lora =
    mode === 'full'
      ? {}
      : {
          unet_lora_config: { type: 'LoRA', r: 8, lora_alpha: 8, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] },
        };
  const model = createBuild([[LOGGER, silent]])(MODELS, { type: 'StableDiffusion', model: folder, ...lora });
  await model.load();
  const parameters = new Parameters(model.parameters());
  const optimizer = new AdamW({ lr: 1e-4, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 });
  const step = new TrainStep({
    model,
    backend,
    parameters,
    optimizer,
    clipMaxNorm: 1,
    accumulativeCounts: 1,
    maxIters: reps,
  });
  await step.init(await model.initialValues(new Rng(0)));
  const { unetConfig, vaeConfig, textConfig } = await openPipeline(folder),
    latent = size / 2 ** (vaeConfig.blockOutChannels.length - 1);
  const latents = [batch, unetConfig.inChannels, latent, latent];
  const feeds = {
    noisy_latents: random('x', latents),
    target: random('noise', latents),
    timesteps: float32(Array(batch).fill(500), [batch]),
    weights: float32(Array(batch).fill(1), [batch]),
    encoder_hidden_states: random('text', [batch, textConfig.maxPositions, textConfig.hiddenSize]),
  };
  return (iteration) => step.run(feeds, { iteration, lr: 1e-4 });
}

/** One evaluation of a network as pictures are drawn: `sample` is a denoising step with guidance, a batch of two. */
async function inference(backend: Backend, { folder: path, mode, size }: CaseSpec): Promise<Repetition> {
  const folder = await openPipeline(path),
    pipeline = new DiffusionPipeline(folder, { unet: () => folder.unet, text: () => folder.text }, true, silent);
  const executor = new Executor(backend, (outputs) => [...outputs]);
  const latents = [folder.unetConfig.inChannels, size / pipeline.factor, size / pipeline.factor];
  switch (mode) {
    case 'encode': {
      const picture = random('picture', [3, size, size]);
      return () => pipeline.encodeImage(executor, picture, false);
    }
    case 'decode': {
      const x = random('x', latents);
      return () => pipeline.decode(executor, x);
    }
    case 'text':
      return () => pipeline.encodeText(executor, 'a photo of a dog in a bucket', 'base', false);
    default: {
      const [x, text] = [
        random('x', [1, ...latents]),
        random('text', [2, folder.textConfig.maxPositions, folder.textConfig.hiddenSize]),
      ];
      return () => pipeline.predict(executor, x, 500, text, { guidance: 7.5 }, 'base');
    }
  }
}

/** Self-attention of the first stage of SD 1.x (320 channels, 8 heads) over all pixels of a latent, and its three gradients. */
async function attending(backend: Backend, { size, batch }: CaseSpec): Promise<Repetition> {
  const shape = [batch, (size / 8) ** 2, 320],
    [q, k, v] = ['q', 'k', 'v'].map((name) => input(name, shape));
  const out = attention(q, k, v, 8, 40 ** -0.5);
  const norms = grad(sum(square(out)), [q, k, v]).map((g) => sum(square(g)));
  const program = await backend.compile({ name: 'attention', outputs: { norm: norms.reduce((a, b) => mul(a, b)) } });
  const feeds = { q: random('q', shape), k: random('k', shape), v: random('v', shape) };
  return () => program.run(feeds);
}
