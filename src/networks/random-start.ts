/** Start values of a network that was never trained. */
import type { Rng } from '../base/rng.js';
import { float32, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';

/** Option of models that can train from scratch. */
export const initOption = {
  type: 'string',
  enum: ['copy', 'random'],
  default: 'copy',
  description: "copy: training starts with the folder's weights; random: untrained, whatever the folder holds",
} as const;

/**
 * What a network starts from that was never trained: torch's defaults, uniform within 1 / sqrt(fan in) for the weights and
 * biases of convolutions and linear layers, 1 and 0 for norms.
 * @returns by parameter name; each depends on (seed, name) only
 */
export function randomStart(shapes: ReadonlyMap<string, Shape>, rng: Rng): Record<string, HostTensor> {
  const values: Record<string, HostTensor> = {};
  for (const [name, shape] of shapes) {
    const weight = shapes.get(name.replace(/bias$/, 'weight')) as Shape,
      size = sizeOf(shape);
    const data = new Float32Array(size);
    if (weight.length === 1)
      data.fill(name.endsWith('bias') ? 0 : 1); // a norm
    else {
      const bound = 1 / Math.sqrt(sizeOf(weight) / weight[0]),
        stream = rng.stream(`init ${name}`);
      for (let i = 0; i < size; i++) data[i] = (2 * stream.uniform() - 1) * bound;
    }
    values[name] = float32(data, shape);
  }
  return values;
}
