/** How much noise each training timestep carries. Rounded to float32 at the same places as diffusers. */
import { alphasCumprodOf, betasOf } from './betas.js';
import { PREDICTION_TYPES, choiceOption, type PredictionType, type SchedulerConfig } from './scheduler-options.js';

const f32 = Math.fround;

export class NoiseSchedule {
  readonly numTrainTimesteps: number;
  readonly predictionType: PredictionType;
  /** Length numTrainTimesteps, as the next. */
  readonly betas: Float32Array;
  /** Product of (1 - beta) up to each timestep; the last is 0 with rescale_betas_zero_snr. */
  readonly alphasCumprod: Float32Array;

  /** @param config a diffusers scheduler_config.json, of whatever class @throws UserError on a value we cannot honour */
  constructor(config: SchedulerConfig) {
    this.predictionType = choiceOption(config, 'prediction_type', PREDICTION_TYPES, 'epsilon');
    this.betas = betasOf(config);
    this.numTrainTimesteps = this.betas.length;
    this.alphasCumprod = alphasCumprodOf(this.betas);
  }

  /** Signal-to-noise ratio of each timestep, in diffusers' order of roundings: (sqrt(a) / sqrt(1 - a))^2; 0 where nothing of the picture is left. */
  snr(): Float32Array {
    return this.alphasCumprod.map((a) => {
      const ratio = f32(f32(Math.sqrt(a)) / f32(Math.sqrt(f32(1 - a))));
      return ratio * ratio;
    });
  }

  /** sqrt(a) x0 + sqrt(1 - a) noise, for one sample. */
  addNoise(latents: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    const [signal, spread] = this.scales(timestep);
    return latents.map((x, i) => f32(signal * x) + f32(spread * noise[i]));
  }

  /** What v prediction learns: sqrt(a) noise - sqrt(1 - a) x0, for one sample. */
  velocity(latents: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    const [signal, spread] = this.scales(timestep);
    return latents.map((x, i) => f32(signal * noise[i]) - f32(spread * x));
  }

  /** What the U-Net learns to say of one noisy sample: its noise, its velocity, or the latents themselves. */
  target(latents: Float32Array, noise: Float32Array, timestep: number): Float32Array {
    switch (this.predictionType) {
      case 'epsilon':
        return noise;
      case 'v_prediction':
        return this.velocity(latents, noise, timestep);
      case 'sample':
        return latents;
    }
  }

  private scales(timestep: number): [signal: number, spread: number] {
    const a = this.alphasCumprod[timestep];
    if (a === undefined) throw new RangeError(`timestep ${timestep}: not from 0 to ${this.numTrainTimesteps - 1}`);
    return [f32(Math.sqrt(a)), f32(Math.sqrt(f32(1 - a)))];
  }
}
