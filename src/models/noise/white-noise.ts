import type { RandomStream } from '../../base/rng.js';
import { NOISE, Noise } from './noise.js';
import type { OptionsSchema } from '../../registry/schema.js';
import { sizeOf, type Shape } from '../../tensor/host.js';

@NOISE.register()
export class WhiteNoise extends Noise {
  static readonly options = {
    description: 'Independent standard normals.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  sample(shape: Shape, stream: RandomStream): Float32Array {
    return stream.normals(sizeOf(shape));
  }
}

declare module '../../registry/kinds.js' {
  interface NoiseMap {
    WhiteNoise: typeof WhiteNoise;
  }
}
