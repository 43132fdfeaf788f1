/** What a pipeline costs to use: parameters, arithmetic and time. */
import { availableParallelism, cpus } from 'node:os';
import { Scope, RecordingSource, type ParamSource } from '../networks/layers/scope.js';
import { recorded, recordText, recordUnet, recordVae } from '../networks/record.js';
import { unet } from '../networks/unet.js';
import { Rng } from '../base/rng.js';
import { cost } from '../tensor/cost.js';
import { float32, sizeOf, totalSizeOf, type Shape } from '../tensor/host.js';
import { input } from '../tensor/tensor.js';
import type { Guidance } from '../sampling/diffusion-pipeline.js';
import type { Renderer } from '../sampling/renderer.js';

export interface ModelCost {
  readonly parameters: { readonly unet: number; readonly text_encoder: number; readonly vae: number };
  /** multiply-adds of the U-Net for one picture and one step without guidance, as papers count */
  readonly macs: number;
}

export interface PictureSize {
  readonly height: number;
  readonly width: number;
}

export function modelCost({ pipeline: { folder, factor } }: Renderer, { height, width }: PictureSize): ModelCost {
  const count = (record: (source: ParamSource) => void): number => totalSizeOf(recorded(record));
  const { unetConfig, textConfig, vaeConfig } = folder;
  const { out } = unet(
    new Scope(new RecordingSource()),
    {
      sample: input('sample', [1, unetConfig.inChannels, height / factor, width / factor]),
      timesteps: input('timesteps', [1]),
      encoderHiddenStates: input('text', textShape(1, folder)),
    },
    unetConfig,
  );
  return {
    parameters: {
      unet: count((s) => recordUnet(s, unetConfig)),
      text_encoder: count((s) => recordText(s, textConfig)),
      vae: count((s) => recordVae(s, vaeConfig)),
    },
    macs: cost([out]).macs,
  };
}

const textShape = (rows: number, { tokenizer, unetConfig }: Renderer['pipeline']['folder']): Shape => [
  rows,
  tokenizer.maxLength,
  unetConfig.crossAttentionDim,
];

export interface Latency {
  /** of one denoising step of one picture */
  readonly median_ms: number;
  readonly runs: number;
  /** two U-Net evaluations in one */
  readonly guided: boolean;
  readonly machine: string;
}

const WARM_UP = 3,
  RUNS = 200,
  FEWEST = 3;
/** Slow models are timed less often. */
const ENOUGH_MS = 20_000;

/** Times single steps, one after the other. */
export async function latency(
  { pipeline, executor }: Renderer,
  { height, width, guidance, rescale, signal }: PictureSize & Guidance & { signal?: AbortSignal },
): Promise<Latency> {
  const { folder, factor } = pipeline,
    guided = guidance > 1,
    shape = [1, folder.unetConfig.inChannels, height / factor, width / factor];
  const textOf = textShape(guided ? 2 : 1, folder),
    noise = new Rng(0).stream('latency');
  const sample = float32(noise.normals(sizeOf(shape)), shape),
    text = float32(noise.normals(sizeOf(textOf)), textOf);
  const time = async (): Promise<number> => {
    const start = performance.now();
    await pipeline.predict(executor, sample, 500, text, { guidance, rescale }, 'current');
    return performance.now() - start;
  };
  for (let i = 0; i < WARM_UP; i++) await time();
  const times: number[] = [],
    start = performance.now();
  while (times.length < FEWEST || (times.length < RUNS && performance.now() - start < ENOUGH_MS)) {
    if (signal?.aborted) break;
    times.push(await time());
  }
  return { median_ms: median(times), runs: times.length, guided, machine: `${machine()}, ${executor.backend.name}` };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b),
    middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What the times were measured on. */
const machine = (): string => `${cpus()[0]?.model.trim() || process.arch}, ${availableParallelism()} cores`;
