import { inject } from 'inversify';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import { resample } from '../image/resample.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { crop } from './crop.js';
import { interpolationOption } from './resize.js';

/** Named as in DiffEngine, where it goes with AspectRatioBatchSampler, too. */
@TRANSFORMS.register()
export class MultiAspectRatioResizeCenterCrop extends Transform {
  static readonly options = {
    description:
      'Resizes the picture to the size of the nearest aspect ratio, and cuts off what little is over, evenly on both sides.',
    type: 'object',
    additionalProperties: false,
    required: ['sizes'],
    properties: {
      sizes: {
        type: 'array',
        minItems: 1,
        items: { type: 'array', items: { type: 'integer', minimum: 1 }, minItems: 2, maxItems: 2 },
        description: 'what a picture may become, [height, width] each; one program is compiled per size that comes up',
      },
      interpolation: interpolationOption,
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof MultiAspectRatioResizeCenterCrop.options>) {
    super();
  }

  override apply(sample: TransformSample): TransformSample {
    const picture = this.picture(sample),
      [inHeight, inWidth] = picture.shape;
    const [height, width] = this.nearest(inHeight / inWidth);
    const scale = Math.max(height / inHeight, width / inWidth);
    const covering = resample(
      picture,
      Math.max(height, Math.round(inHeight * scale)),
      Math.max(width, Math.round(inWidth * scale)),
      this.opts.interpolation,
    );
    const top = Math.floor((covering.shape[0] - height) / 2),
      left = Math.floor((covering.shape[1] - width) / 2);
    return { ...sample, img: crop(covering, top, left, height, width) };
  }

  /** The first of the sizes whose ratio differs least, as a factor: 2:1 is as far from 1:1 as 1:2. */
  private nearest(ratio: number): readonly number[] {
    const distance = ([height, width]: readonly number[]): number => Math.abs(Math.log(height / width / ratio));
    return this.opts.sizes.reduce<readonly number[]>(
      (best, size) => (distance(size) < distance(best) ? size : best),
      this.opts.sizes[0],
    );
  }
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    MultiAspectRatioResizeCenterCrop: typeof MultiAspectRatioResizeCenterCrop;
  }
}
