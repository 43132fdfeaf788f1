import { inject } from 'inversify';
import type { RandomStream } from '../../base/rng.js';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { image, type Image } from '../image/picture-file.js';

@TRANSFORMS.register()
export class RandomHorizontalFlip extends Transform {
  static readonly options = {
    description: 'Mirrors the picture left to right with probability p.',
    type: 'object',
    additionalProperties: false,
    properties: {
      p: { type: 'number', minimum: 0, maximum: 1, default: 0.5, description: 'probability of mirroring' },
    },
  } as const satisfies OptionsSchema;

  override readonly random = true;
  constructor(@inject(OPTIONS) private readonly opts: Output<typeof RandomHorizontalFlip.options>) {
    super();
  }

  override apply(sample: TransformSample, stream: RandomStream): TransformSample {
    return stream.uniform() < this.opts.p ? { ...sample, img: mirror(this.picture(sample)) } : sample;
  }
}

function mirror({ data, shape: [height, width] }: Image): Image {
  const out = new Uint8Array(data.length);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0, to = ((y + 1) * width - 1) * 3; x < width; x++, from += 3, to -= 3) {
      out[to] = data[from];
      out[to + 1] = data[from + 1];
      out[to + 2] = data[from + 2];
    }
  }
  return image(out, height, width);
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    RandomHorizontalFlip: typeof RandomHorizontalFlip;
  }
}
