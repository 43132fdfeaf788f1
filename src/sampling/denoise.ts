/** From noise to latents, step by step, with whatever computes the U-Net. */
import { float32, floats, type HostTensor } from '../tensor/host.js';
import type { Scheduler } from './schedulers/scheduler.js';

export interface DenoiseLoop {
  readonly scheduler: Scheduler;
  readonly steps: number;
  /** [C, h, w] standard normals */
  readonly start: HostTensor;
  /** fresh standard normals of that size, for samplers that want some */
  readonly noise: () => Float32Array;
  /** The U-Net's answer, flat. @param sample [1, C, h, w] */
  readonly predict: (sample: HostTensor, timestep: number) => Promise<Float32Array>;
  /** After each evaluation of the U-Net. @param done how many of the steps; some methods evaluate more often */
  readonly onStep?: ((done: number, latents: Float32Array) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Latents [C, h, w], or undefined when the signal stopped it. @throws UserError when the scheduler cannot take so many steps */
export async function denoise(loop: DenoiseLoop): Promise<HostTensor | undefined> {
  const { scheduler, steps, start } = loop;
  scheduler.setTimesteps(steps);
  const { shape } = start;
  let latents: Float32Array = floats(start).map((v) => v * scheduler.initNoiseSigma);
  for (const [step, timestep] of scheduler.timesteps.entries()) {
    if (loop.signal?.aborted) return undefined;
    const sample = float32(scheduler.scaleModelInput(latents, step), [1, ...shape]);
    latents = scheduler.step(await loop.predict(sample, timestep), step, latents, loop.noise);
    loop.onStep?.(Math.floor(((step + 1) * steps) / scheduler.timesteps.length), latents);
  }
  return float32(latents, shape);
}
