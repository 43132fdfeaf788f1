/** What diffusers' StableDiffusionPipeline changes in a scheduler's config before it draws, to mend outdated files. */
import type { SchedulerConfig } from './scheduler-options.js';

/**
 * Latents are never clipped, and "leading" timesteps begin at 1.
 * @returns the config to draw with, and a line for each field that was set otherwise
 */
export function stableDiffusionDefaults(config: SchedulerConfig): { config: SchedulerConfig; changed: string[] } {
  const { clip_sample: clip, steps_offset: offset } = config;
  const changed = [
    ...(clip === true ? ['clip_sample true (latents are not clipped)'] : []),
    ...(offset != null && offset !== 1 ? [`steps_offset ${JSON.stringify(offset)} (it is 1)`] : []),
  ];
  return { config: { ...config, clip_sample: false, steps_offset: 1 }, changed };
}
