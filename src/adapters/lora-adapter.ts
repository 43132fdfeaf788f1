/** The low-rank pairs of one network, as parameters to train or as values to apply. */
import type { Rng } from '../base/rng.js';
import { float32, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { parameter, weight, type Tensor } from '../tensor/tensor.js';
import type { Adapter, ParamSource } from '../networks/layers/scope.js';
import type { LoraPair } from './lora-config.js';

/** The two matrices of a pair, by their names in PEFT. */
export const SIDES = ['lora_A', 'lora_B'] as const;
export type Side = (typeof SIDES)[number];

/** Values of one network's pairs: module -> A, B and scale. */
export type AdapterValues = ReadonlyMap<
  string,
  { readonly lora_A: HostTensor; readonly lora_B: HostTensor; readonly scale: number }
>;

/** Name of the trainable parameter, e.g. `unet.mid_block...to_q.lora_A.weight`. */
export const parameterName = (prefix: string, module: string, side: Side): string =>
  `${prefix}.${module}.${side}.weight`;

export function adapterShapes(prefix: string, pairs: ReadonlyMap<string, LoraPair>): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const pair of pairs.values()) {
    shapes.set(parameterName(prefix, pair.module, 'lora_A'), pair.shapeA);
    shapes.set(parameterName(prefix, pair.module, 'lora_B'), pair.shapeB);
  }
  return shapes;
}

/** Start values as PEFT: B zero; A uniform in +-1/sqrt(fan in) (Kaiming, a = sqrt 5), or normal with deviation 1/r. */
export function initialAdapter(
  prefix: string,
  pairs: ReadonlyMap<string, LoraPair>,
  rng: Rng,
  init: unknown,
): Record<string, HostTensor> {
  const values: Record<string, HostTensor> = {};
  for (const { module, shapeA, shapeB } of pairs.values()) {
    const name = parameterName(prefix, module, 'lora_A');
    const draw = rng.stream(`init ${name}`),
      size = sizeOf(shapeA);
    const bound = 1 / Math.sqrt(size / shapeA[0]);
    const A =
      init === 'gaussian'
        ? draw.normals(size).map((v) => v / shapeA[0])
        : Float32Array.from({ length: size }, () => bound * (2 * draw.uniform() - 1));
    values[name] = float32(A, shapeA);
    values[parameterName(prefix, module, 'lora_B')] = float32(new Float32Array(sizeOf(shapeB)), shapeB);
  }
  return values;
}

/** `base` with trainable pairs on its modules. */
export function trainableSource(base: ParamSource, prefix: string, pairs: ReadonlyMap<string, LoraPair>): ParamSource {
  const made = new Map<string, Adapter>();
  return {
    get: (name, shape) => base.get(name, shape),
    adapter: (module) => {
      const pair = pairs.get(module);
      if (!pair) return undefined;
      const leaf = (side: Side, shape: Shape): Tensor => parameter(parameterName(prefix, module, side), shape);
      const adapter = made.get(module) ?? {
        A: leaf('lora_A', pair.shapeA),
        B: leaf('lora_B', pair.shapeB),
        scale: pair.scale,
      };
      made.set(module, adapter);
      return adapter;
    },
  };
}

/** `base` with fixed pairs applied. @param strength multiplies every scale; 1 as trained */
export function adaptedSource(base: ParamSource, values: AdapterValues, strength = 1): ParamSource {
  return {
    get: (name, shape) => base.get(name, shape),
    adapter: (module) => {
      const pair = values.get(module);
      if (!pair) return undefined;
      const leaf = (side: Side): Tensor =>
        weight({ key: `${module}.${side}`, value: pair[side] }, { dtype: 'float32', shape: pair[side].shape });
      return { A: leaf('lora_A'), B: leaf('lora_B'), scale: pair.scale * strength };
    },
  };
}
