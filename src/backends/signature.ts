import { typeText } from '../tensor/print.js';
import type { Node } from '../tensor/tensor.js';

/** What errors call a node: `add(float32[2], float32[2]) -> float32[2]`. */
export const signature = ({ op, inputs, outs }: Node): string =>
  `${op}(${inputs.map(typeText).join(', ')}) -> ${outs.map(typeText).join(', ')}`;
