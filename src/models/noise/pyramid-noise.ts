import { inject } from 'inversify';
import type { RandomStream } from '../../base/rng.js';
import { NOISE, Noise } from './noise.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { sizeOf, type Shape } from '../../tensor/host.js';

const MAX_LEVELS = 16;

/** Whitaker, "Multi-resolution noise for diffusion model training", wandb.ai/johnowhitaker/multires_noise. */
@NOISE.register()
export class PyramidNoise extends Noise {
  static readonly options = {
    description: 'White noise plus coarser and coarser noise, scaled up bilinearly; the sum is brought to deviation 1.',
    type: 'object',
    additionalProperties: false,
    properties: {
      discount: { type: 'number', exclusiveMinimum: 0, default: 0.9, description: 'weight of level i is discount^i' },
      random_multiplier: {
        type: 'boolean',
        default: true,
        description: 'draw the shrinking factor of each level from 2 to 4; false: always 2',
      },
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof PyramidNoise.options>) {
    super();
  }

  /** Level i shrinks the level before it by r^i, as DiffEngine does, down to one pixel. Deviation is over one sample. */
  sample(shape: Shape, stream: RandomStream): Float32Array {
    const [channels, height, width] = shape;
    const noise = stream.normals(sizeOf(shape));
    let [h, w] = [height, width];
    for (let level = 0; level < MAX_LEVELS; level++) {
      const factor = (this.opts.random_multiplier ? 2 + 2 * stream.uniform() : 2) ** level;
      h = Math.max(1, Math.floor(h / factor));
      w = Math.max(1, Math.floor(w / factor));
      const coarse = stream.normals(channels * h * w),
        weight = this.opts.discount ** level;
      for (let c = 0; c < channels; c++) {
        addUpsampled(
          noise.subarray(c * height * width, (c + 1) * height * width),
          [height, width],
          coarse.subarray(c * h * w, (c + 1) * h * w),
          [h, w],
          weight,
        );
      }
      if (h === 1 || w === 1) break;
    }
    const deviation = standardDeviation(noise);
    return noise.map((x) => x / deviation);
  }
}

/** target += weight * bilinear(source), pixel centres at half positions as torch's Upsample with align_corners off. */
function addUpsampled(
  target: Float32Array,
  [H, W]: readonly [number, number],
  source: Float32Array,
  [h, w]: readonly [number, number],
  weight: number,
): void {
  const rows = taps(H, h),
    columns = taps(W, w);
  for (let y = 0; y < H; y++) {
    const [top, bottom, fy] = rows[y];
    for (let x = 0; x < W; x++) {
      const [left, right, fx] = columns[x];
      const above = source[top * w + left] * (1 - fx) + source[top * w + right] * fx;
      const below = source[bottom * w + left] * (1 - fx) + source[bottom * w + right] * fx;
      target[y * W + x] += weight * (above * (1 - fy) + below * fy);
    }
  }
}

/** For each output position its two source positions and the share of the second. */
function taps(size: number, source: number): [first: number, second: number, share: number][] {
  return Array.from({ length: size }, (_, i) => {
    const at = Math.max(0, ((i + 0.5) * source) / size - 0.5),
      first = Math.floor(at);
    return [first, Math.min(first + 1, source - 1), at - first];
  });
}

/** With n - 1, as torch's std. */
function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (values.length - 1));
}

declare module '../../registry/kinds.js' {
  interface NoiseMap {
    PyramidNoise: typeof PyramidNoise;
  }
}
