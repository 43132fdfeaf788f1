/** Kinds that add a whole matrix to the weight. */
import type { AdaptedLayer } from '../networks/layers/scope.js';
import { add, isPacked, mul, recompute } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import { ModuleAdapter, type Leaf } from './adapter-kind.js';

export abstract class AdditiveModule extends ModuleAdapter {
  /** What is added to the weight, in its shape, before `scale`. */
  protected abstract delta(part: Leaf): Tensor;
  protected abstract readonly scale: number;

  weight(weight: Tensor, part: Leaf, strength: number): Tensor {
    return add(weight, this.update(part, strength));
  }

  /** The sum is as large as the weight: the gradient makes it again instead of keeping it. */
  override answer(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    // The sum with a weight in 8 bits would unpack it for longer than its own product does.
    if (isPacked(layer.weight)) return add(layer.apply(layer.weight, layer.bias), this.change(layer, part, strength));
    const sum = recompute(add(layer.weight, this.update(part, strength)), this.leaves(part));
    return layer.apply(sum, layer.bias);
  }

  override change(layer: AdaptedLayer, part: Leaf, strength: number): Tensor {
    return layer.apply(recompute(this.update(part, strength), this.leaves(part)));
  }

  private update(part: Leaf, strength: number): Tensor {
    const scale = this.scale * strength;
    return scale === 1 ? this.delta(part) : mul(this.delta(part), scale);
  }

  private leaves(part: Leaf): Tensor[] {
    return [...this.parts.keys()].map(part);
  }
}
