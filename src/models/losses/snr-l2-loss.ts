import { inject } from 'inversify';
import { LOSSES, Loss, type LossContext } from './loss.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import type { Tensor } from '../../tensor/tensor.js';
import { minSnrWeight, type MinSnrKind } from '../../sampling/schedulers/snr.js';
import { weightedMse } from './l2-loss.js';

/** Hang et al., "Efficient diffusion training via Min-SNR weighting strategy", arXiv 2303.09556. */
@LOSSES.register()
export class SNRL2Loss extends Loss {
  static readonly options = {
    description:
      'Mean squared error weighted by min(SNR, gamma) / SNR; when the U-Net predicts the picture, by min(SNR, gamma).',
    type: 'object',
    additionalProperties: false,
    properties: {
      loss_weight: { type: 'number', default: 1, description: 'factor of the whole loss' },
      snr_gamma: {
        type: 'number',
        exclusiveMinimum: 0,
        default: 5,
        description: 'upper limit of the signal-to-noise ratio',
      },
      v_prediction_weight: {
        type: 'string',
        enum: ['diffusers', 'diffengine'],
        default: 'diffusers',
        description:
          'with v prediction: min(snr, g) / (snr + 1) as diffusers, or min(snr + 1, g) / (snr + 1) as DiffEngine',
      },
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof SNRL2Loss.options>) {
    super();
  }

  apply(prediction: Tensor, target: Tensor, weight: Tensor): Tensor {
    return weightedMse(prediction, target, weight, this.opts.loss_weight);
  }

  override sampleWeight(timestep: number, { snr, predictionType }: LossContext): number {
    const kind = predictionType === 'v_prediction' ? this.opts.v_prediction_weight : (predictionType as MinSnrKind);
    return minSnrWeight(snr[timestep], this.opts.snr_gamma, kind);
  }
}

declare module '../../registry/kinds.js' {
  interface LossMap {
    SNRL2Loss: typeof SNRL2Loss;
  }
}
