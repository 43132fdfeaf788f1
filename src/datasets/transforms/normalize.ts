import { inject } from 'inversify';
import { UserError } from '../../base/errors.js';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { float32 } from '../../tensor/host.js';

@TRANSFORMS.register()
export class Normalize extends Transform {
  static readonly options = {
    description: 'Computes (value - mean) / std per channel. Stable Diffusion wants 0.5 and 0.5: -1 to 1.',
    type: 'object',
    additionalProperties: false,
    properties: {
      mean: {
        type: 'array',
        items: { type: 'number' },
        minItems: 1,
        maxItems: 3,
        default: [0.5],
        description: 'one value for all channels, or three',
      },
      std: {
        type: 'array',
        items: { type: 'number', exclusiveMinimum: 0 },
        minItems: 1,
        maxItems: 3,
        default: [0.5],
        description: 'one value for all channels, or three',
      },
    },
  } as const satisfies OptionsSchema;

  private readonly mean: readonly number[];
  private readonly std: readonly number[];
  constructor(@inject(OPTIONS) opts: Output<typeof Normalize.options>) {
    super();
    this.mean = perChannel('mean', opts.mean);
    this.std = perChannel('std', opts.std);
  }

  override apply(sample: TransformSample): TransformSample {
    const { data, shape } = sample.img;
    if (!(data instanceof Float32Array)) {
      throw new UserError(`Normalize: the picture is still ${sample.img.dtype} [${shape}]; put ToTensor before it`);
    }
    const plane = shape[1] * shape[2],
      out = new Float32Array(data.length);
    // Subtract and divide round to float32 one after the other, as torchvision's in-place sub_ and div_ do.
    for (let channel = 0; channel < shape[0]; channel++) {
      const mean = Math.fround(this.mean[channel]),
        std = Math.fround(this.std[channel]);
      for (let i = channel * plane; i < (channel + 1) * plane; i++) out[i] = Math.fround(data[i] - mean) / std;
    }
    return { ...sample, img: float32(out, shape) };
  }
}

function perChannel(name: string, values: readonly number[]): readonly number[] {
  if (values.length === 2) throw new UserError(`Normalize.${name}: 2 values; give 1 (for all channels) or 3`);
  return values.length === 1 ? [values[0], values[0], values[0]] : values;
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    Normalize: typeof Normalize;
  }
}
