import { TRANSFORMS, Transform, type TransformSample } from './transform.js';
import type { OptionsSchema } from '../../registry/schema.js';

@TRANSFORMS.register()
export class PackInputs extends Transform {
  static readonly options = {
    description: 'Keeps what the model needs, img and text, and drops the rest. Last in a pipeline.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  override apply({ img, text }: TransformSample): TransformSample {
    return { img, text };
  }
}

declare module '../../registry/kinds.js' {
  interface TransformMap {
    PackInputs: typeof PackInputs;
  }
}
