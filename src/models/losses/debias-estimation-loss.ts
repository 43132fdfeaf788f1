import { inject } from 'inversify';
import { LOSSES, Loss, type LossContext } from './loss.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import type { Tensor } from '../../tensor/tensor.js';
import { debiasWeight } from '../../sampling/schedulers/snr.js';
import { weightedMse } from './l2-loss.js';

/** Yu et al., "Debias the training of diffusion models", arXiv 2310.08442. */
@LOSSES.register()
export class DeBiasEstimationLoss extends Loss {
  static readonly options = {
    description:
      'Mean squared error weighted by 1 / sqrt(SNR); 1 / sqrt(SNR + 1) with v prediction, sqrt(SNR) when the U-Net predicts the picture.',
    type: 'object',
    additionalProperties: false,
    properties: { loss_weight: { type: 'number', default: 1, description: 'factor of the whole loss' } },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof DeBiasEstimationLoss.options>) {
    super();
  }

  apply(prediction: Tensor, target: Tensor, weight: Tensor): Tensor {
    return weightedMse(prediction, target, weight, this.opts.loss_weight);
  }

  override sampleWeight(timestep: number, { snr, predictionType }: LossContext): number {
    return debiasWeight(snr[timestep], predictionType);
  }
}

declare module '../../registry/kinds.js' {
  interface LossMap {
    DeBiasEstimationLoss: typeof DeBiasEstimationLoss;
  }
}
