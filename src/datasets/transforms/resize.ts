import { inject } from 'inversify';
import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema, Output } from '../../registry/schema.js';
import { OPTIONS } from '../../registry/tokens.js';
import { resample } from '../image/resample.js';
import { sizeOption } from './size.js';

export const interpolationOption = {
  enum: ['nearest', 'bilinear', 'bicubic', 'lanczos'],
  default: 'bilinear',
  description: 'resampling filter; all but nearest are antialiased',
} as const;

@TRANSFORMS.register()
export class Resize extends Transform {
  static readonly options = {
    description: 'Resizes the picture, bit for bit as PIL does.',
    type: 'object',
    additionalProperties: false,
    required: ['size'],
    properties: {
      size: { ...sizeOption, description: 'pixels of the shorter side (the aspect ratio stays), or [height, width]' },
      interpolation: interpolationOption,
    },
  } as const satisfies OptionsSchema;

  constructor(@inject(OPTIONS) private readonly opts: Output<typeof Resize.options>) {
    super();
  }

  override apply(sample: TransformSample): TransformSample {
    const picture = this.picture(sample);
    const [height, width] = this.target(picture.shape[0], picture.shape[1]);
    return { ...sample, img: resample(picture, height, width, this.opts.interpolation) };
  }

  /** As torchvision: the longer side is truncated, not rounded. */
  private target(height: number, width: number): readonly number[] {
    const { size } = this.opts;
    if (typeof size !== 'number') return size;
    return height < width ? [size, Math.trunc((size * width) / height)] : [Math.trunc((size * height) / width), size];
  }
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    Resize: typeof Resize;
  }
}
