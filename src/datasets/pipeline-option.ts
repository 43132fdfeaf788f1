/** The `pipeline` option that datasets share. */
import { TRANSFORMS } from './transforms/transform.js';
import type { Build } from '../registry/tokens.js';
import { Pipeline } from './pipeline.js';

/** Schema of the option; no default, since the sizes are the model's. */
export const pipelineOption = {
  type: 'array',
  items: { type: 'object', component: 'TRANSFORMS' },
  minItems: 1,
  description:
    'transforms from a picture to float32 [3, H, W]: Resize, RandomCrop, ..., ToTensor, Normalize, PackInputs',
} as const;

export function buildPipeline(steps: readonly object[], build: Build): Pipeline {
  return new Pipeline(steps.map((step) => build(TRANSFORMS, step)));
}
