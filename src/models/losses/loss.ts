/** How a prediction is compared with its target. */
import { Registry } from '../../registry/registry.js';
import type { Tensor } from '../../tensor/tensor.js';

export interface LossContext {
  /** 'epsilon', 'v_prediction' or 'sample' */
  readonly predictionType: string;
  /** signal-to-noise ratio of each training timestep, length num_train_timesteps; 0 at the last with zero-terminal SNR */
  readonly snr: Float32Array;
}

export abstract class Loss {
  /**
   * @param prediction [B, ...] float32
   * @param target same shape
   * @param weight [B] one factor per sample: prior preservation times `sampleWeight`
   * @returns a scalar
   */
  abstract apply(prediction: Tensor, target: Tensor, weight: Tensor): Tensor;

  /** The factor of a sample at this timestep; 1 unless the loss is weighted by noise level. */
  sampleWeight(_timestep: number, _context: LossContext): number {
    return 1;
  }
}

export const LOSSES = new Registry<Loss>('LOSSES', 'loss');
