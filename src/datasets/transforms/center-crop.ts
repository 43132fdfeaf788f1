import { inject } from 'inversify';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { crop } from './crop.js';
import { heightWidth, sizeOption } from './size.js';

@TRANSFORMS.register()
export class CenterCrop extends Transform {
  static readonly options = {
    description: 'Cuts out the middle of the picture. A smaller picture gets a black border, as in torchvision.',
    type: 'object',
    additionalProperties: false,
    required: ['size'],
    properties: { size: { ...sizeOption, description: 'pixels: a side of a square, or [height, width]' } },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof CenterCrop.options>) {
    super();
  }

  override apply(sample: TransformSample): TransformSample {
    const picture = this.picture(sample);
    const [height, width] = heightWidth(this.opts.size);
    const top = start(picture.shape[0], height),
      left = start(picture.shape[1], width);
    return { ...sample, img: crop(picture, top, left, height, width) };
  }
}

/** torchvision's rounding: half to even when cropping, half down (into the border) when padding. */
function start(inSize: number, outSize: number): number {
  if (inSize < outSize) return -Math.floor((outSize - inSize) / 2);
  const half = (inSize - outSize) / 2,
    down = Math.floor(half);
  return half === down || down % 2 === 0 ? down : down + 1;
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    CenterCrop: typeof CenterCrop;
  }
}
