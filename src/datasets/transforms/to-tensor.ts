import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema } from '../../registry/schema.js';
import { float32 } from '../../tensor/host.js';

@TRANSFORMS.register()
export class ToTensor extends Transform {
  static readonly options = {
    description: 'Turns the picture, uint8 [H, W, 3], into float32 [3, H, W] from 0 to 1.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  override apply(sample: TransformSample): TransformSample {
    const {
      data,
      shape: [height, width],
    } = this.picture(sample);
    const plane = height * width,
      out = new Float32Array(3 * plane);
    for (let i = 0, p = 0; i < plane; i++, p += 3) {
      out[i] = data[p] / 255;
      out[plane + i] = data[p + 1] / 255;
      out[2 * plane + i] = data[p + 2] / 255;
    }
    return { ...sample, img: float32(out, [3, height, width]) };
  }
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    ToTensor: typeof ToTensor;
  }
}
