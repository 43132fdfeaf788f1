import { inject } from 'inversify';
import { UserError } from '../../base/errors.js';
import type { RandomStream } from '../../base/rng.js';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { crop } from './crop.js';
import { heightWidth, sizeOption } from './size.js';

@TRANSFORMS.register()
export class RandomCrop extends Transform {
  static readonly options = {
    description: 'Cuts out a piece at a random place, all places equally likely.',
    type: 'object',
    additionalProperties: false,
    required: ['size'],
    properties: { size: { ...sizeOption, description: 'pixels: a side of a square, or [height, width]' } },
  } as const satisfies OptionsSchema;

  override readonly random = true;
  constructor(@inject(OPTIONS) private readonly opts: Output<typeof RandomCrop.options>) {
    super();
  }

  override apply(sample: TransformSample, stream: RandomStream): TransformSample {
    const picture = this.picture(sample);
    const [inHeight, inWidth] = picture.shape,
      [height, width] = heightWidth(this.opts.size);
    if (inHeight < height || inWidth < width) {
      throw new UserError(
        `RandomCrop: the picture is ${inWidth}x${inHeight}, smaller than the crop ${width}x${height}; put a Resize before it`,
      );
    }
    const top = stream.int(0, inHeight - height + 1),
      left = stream.int(0, inWidth - width + 1);
    return { ...sample, img: crop(picture, top, left, height, width) };
  }
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    RandomCrop: typeof RandomCrop;
  }
}
