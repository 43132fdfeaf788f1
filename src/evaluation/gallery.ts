/** Where the pictures that are measured come from: a model draws them, or they are there already. */
import type { Backend } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import type { SampleRequest } from '../sampling/sample-request.js';
import { pipelineFingerprint } from '../formats/pipeline/pipeline-folder.js';
import type { Logger } from '../base/logger.js';
import type { HostTensor } from '../tensor/host.js';
import { latency, modelCost, type Latency, type ModelCost, type PictureSize } from './cost.js';
import type { PictureSet } from './pictures.js';
import type { Target } from './target.js';
import type { Drawing, Observer } from './observe.js';
import { Renderer } from '../sampling/renderer.js';

/** Identifies a model in `eval.json`. */
export interface ModelRecord {
  readonly base: string;
  readonly checkpoint: string | null;
  readonly fingerprint: string;
}

export interface Gallery {
  readonly size: PictureSize;
  /** pictures of one seed */
  readonly count: number;
  /** null for pictures that no model here drew */
  readonly model: ModelRecord | null;
  readonly cost: ModelCost | null;
  /** What the k-th seed is asked for, and how it is had. */
  part(k: number): Promise<{ readonly drawing: Omit<Drawing, 'texts'>; readonly draw: Observer['draw'] }>;
  latency(signal: AbortSignal): Promise<Latency | null>;
  dispose(): Promise<void>;
}

/** How a model draws; sizes are its own where none are given. */
export type DrawSettings = Omit<Drawing['request'], 'height' | 'width'> & {
  readonly height: number | undefined;
  readonly width: number | undefined;
};

/** Every seed draws the same prompts. @throws UserError when the model is incomplete, or the adapter is for another one */
export async function drawnGallery(
  { model, trained }: Pick<Target, 'model' | 'trained'>,
  prompts: readonly string[],
  settings: DrawSettings,
  backend: Backend,
  log: Logger,
): Promise<Gallery> {
  const { scheduler, steps } = settings,
    keys = { scheduler: 'val_cfg.scheduler (--scheduler)', steps: 'val_cfg.num_inference_steps (--steps)' };
  const renderer = await Renderer.open(model, trained ? [trained] : [], backend, log, {
    drawing: { scheduler, steps, keys },
  });
  const size = { height: settings.height ?? renderer.defaultSize, width: settings.width ?? renderer.defaultSize };
  return {
    size,
    count: prompts.length,
    cost: modelCost(renderer, size),
    model: {
      base: model,
      checkpoint: trained?.path ?? null,
      fingerprint: await pipelineFingerprint(renderer.pipeline.folder),
    },
    part: async () => ({
      drawing: { prompts, request: { ...settings, ...size } },
      draw: (request) => renderer.render(request),
    }),
    latency: (signal) =>
      latency(renderer, { ...size, guidance: settings.guidance_scale, rescale: settings.guidance_rescale, signal }),
    dispose: () => renderer.dispose(),
  };
}

/**
 * Every seed takes the next `count` pictures: the first those from 0, the second those from `count`.
 * @param count default all, spread over the seeds
 * @throws UserError when there are too few
 */
export async function givenGallery(
  set: PictureSet,
  parts: number,
  count = Math.floor(set.length / parts),
): Promise<Gallery> {
  if (count === 0 || parts * count > set.length)
    throw new UserError(
      `--pictures: ${set.length} pictures for ${parts} seeds of ${Math.max(1, count)}; give more pictures, or lower --seeds or --num-images`,
    );
  const [height, width] = (await set.picture(0)).shape;
  const indices = (k: number): number[] => Array.from({ length: count }, (_, i) => k * count + i);
  return {
    size: { height, width },
    count,
    model: null,
    cost: null,
    part: async (k) => ({
      drawing: {
        prompts: await Promise.all(indices(k).map(async (i) => (await set.text?.(i)) ?? '')),
        request: { steps: 1, guidance_scale: 1, height, width },
      },
      draw: (request) => shown(set, indices(k), request),
    }),
    latency: async () => null,
    dispose: async () => {},
  };
}

async function* shown(
  set: PictureSet,
  indices: readonly number[],
  { signal, onStep }: SampleRequest,
): AsyncGenerator<HostTensor> {
  for (const [done, index] of indices.entries()) {
    if (signal?.aborted) return;
    yield await set.picture(index);
    onStep?.(done + 1, indices.length);
  }
}
