import { inject } from 'inversify';
import type { RandomStream } from '../../base/rng.js';
import { NOISE, Noise } from './noise.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { sizeOf, type Shape } from '../../tensor/host.js';

/** Guttenberg, "Diffusion with offset noise", crosslabs.org/blog/diffusion-with-offset-noise: learns very dark and very bright pictures. */
@NOISE.register()
export class OffsetNoise extends Noise {
  static readonly options = {
    description: 'White noise plus one normal per channel, the same for all its pixels.',
    type: 'object',
    additionalProperties: false,
    properties: { offset_weight: { type: 'number', default: 0.05, description: 'factor of the offset' } },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof OffsetNoise.options>) {
    super();
  }

  sample(shape: Shape, stream: RandomStream): Float32Array {
    const noise = stream.normals(sizeOf(shape));
    const offsets = stream.normals(shape[0]);
    const area = noise.length / shape[0];
    return noise.map((x, i) => x + this.opts.offset_weight * offsets[Math.floor(i / area)]);
  }
}

declare module '../../registry/kinds.js' {
  interface NoiseMap {
    OffsetNoise: typeof OffsetNoise;
  }
}
