/** One measured case in a process of its own: `node dist/bench/case.js '<json>'` prints one JSON line. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { Executor } from '../src/backends/executor.js';
import { loadComponents } from '../src/components.js';
import { buildBackend } from '../src/engine/build-backend.js';
import { AdamW } from '../src/engine/optimizers/adamw.js';
import { Parameters } from '../src/engine/parameters.js';
import { TrainStep } from '../src/engine/train-step.js';
import type { Backend } from '../src/backends/backend.js';
import { DiffusionPipeline } from '../src/models/diffusion-pipeline.js';
import { openPipeline } from '../src/models/pipeline-folder.js';
import { Rng } from '../src/random/rng.js';
import { createBuild } from '../src/registry/container.js';
import { MODELS } from '../src/registry/registries.js';
import { LOGGER } from '../src/registry/tokens.js';
import { float32, type HostTensor } from '../src/tensor/host.js';

export interface BenchCase {
  readonly folder: string;
  /** latent height and width: pixels / 8 */
  readonly latent: number;
  readonly mode: 'lora' | 'full' | 'sample';
  readonly batch: number;
  readonly reps: number;
}

export interface BenchResult {
  readonly all_s: number[];
  /** without the first */
  readonly median_s: number;
  /** from nothing to the end of the first step */
  readonly first_s: number;
  readonly peak_mb: number;
  /** CPU that other processes used meanwhile, in percent of one core */
  readonly foreign_cpu_percent: number[];
}

const WIDTH = 768, TOKENS = 77; // CLIP ViT-L/14

/** CPU seconds of the whole machine and of this process. */
function cpuSeconds(): { machine: number; own: number } {
  const machine = cpus().reduce((n, { times: t }) => n + t.user + t.nice + t.sys + t.irq, 0) / 1000;
  const { user, system } = process.cpuUsage();
  return { machine, own: (user + system) / 1e6 };
}

function peakMegabytes(): number {
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) / 1024);
}

async function main(spec: BenchCase): Promise<BenchResult> {
  const begin = performance.now(), silent = { info: () => {}, warn: () => {}, debug: () => {} };
  await loadComponents();
  const backend = buildBackend(undefined, silent);
  const step = await (spec.mode === 'sample' ? sampling(backend, spec) : training(backend, spec));
  const seconds: number[] = [], foreign: number[] = [];
  let first = 0;
  for (let i = 0; i < spec.reps; i++) {
    const before = cpuSeconds(), start = performance.now();
    await step(i);
    const elapsed = (performance.now() - start) / 1000, after = cpuSeconds();
    if (i === 0) first = (performance.now() - begin) / 1000;
    seconds.push(elapsed);
    foreign.push(Math.round((100 * (after.machine - before.machine - (after.own - before.own))) / elapsed));
  }
  const steady = (seconds.length > 1 ? seconds.slice(1) : seconds).sort((a, b) => a - b);
  const result = { all_s: seconds.map(round), median_s: round(steady[Math.floor(steady.length / 2)]), first_s: round(first), peak_mb: peakMegabytes(), foreign_cpu_percent: foreign };
  await backend.dispose();
  return result;
}

const round = (x: number): number => Math.round(x * 1000) / 1000;
const random = (name: string, shape: readonly number[]): HostTensor => float32(new Rng(0).stream(name).normals(shape.reduce((a, b) => a * b, 1)), shape);

async function training(backend: Backend, { folder, mode, latent, batch, reps }: BenchCase): Promise<(i: number) => Promise<unknown>> {
  const lora = mode === 'full' ? {} : { unet_lora_config: { type: 'LoRA', r: 8, lora_alpha: 8, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0'] } };
  const silent = { info: () => {}, warn: () => {}, debug: () => {} };
  const model = createBuild([[LOGGER, silent]])(MODELS, { type: 'StableDiffusion', model: folder, ...lora });
  await model.load();
  const parameters = new Parameters(model.parameters());
  const optimizer = new AdamW({ lr: 1e-4, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 1e-2 });
  const step = new TrainStep({ model, backend, parameters, optimizer, clipMaxNorm: 1, accumulativeCounts: 1, maxIters: reps });
  await step.init(await model.initialValues(new Rng(0)));
  const latents = [batch, 4, latent, latent];
  const feeds = {
    noisy_latents: random('x', latents), target: random('noise', latents), timesteps: float32(Array(batch).fill(500), [batch]),
    weights: float32(Array(batch).fill(1), [batch]), encoder_hidden_states: random('text', [batch, TOKENS, WIDTH]),
  };
  return (iteration) => step.run(feeds, { iteration, lr: 1e-4 });
}

/** One denoising step with guidance: a batch of two through the U-Net. */
async function sampling(backend: Backend, spec: BenchCase): Promise<(i: number) => Promise<unknown>> {
  const { latent } = spec;
  const [x, text] = [random('x', [1, 4, latent, latent]), random('text', [2, TOKENS, WIDTH])];
  const folder = await openPipeline(spec.folder), silent = { info: () => {}, warn: () => {}, debug: () => {} };
  const pipeline = new DiffusionPipeline(folder, { unet: () => folder.unet, text: () => folder.text }, true, silent);
  const executor = new Executor(backend, (outputs) => [...outputs]);
  return () => pipeline.predict(executor, x, 500, text, 7.5, 'base');
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2]) as BenchCase)));
