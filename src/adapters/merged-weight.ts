/** A weight with an adapter in it. */
import { evaluate } from '../backends/reference/evaluate.js';
import { fromFloat32, toFloat32 } from '../formats/float-formats.js';
import { floats, type HostTensor } from '../tensor/host.js';
import { input } from '../tensor/tensor.js';
import type { TrainedModule } from './adapter-kind.js';
import type { AdapterValues } from './network-adapter.js';

/**
 * The adapted weight, computed in float64 from the kind's own rule and returned in the weight's dtype (float16 and bfloat16
 * rounded to nearest even).
 * @param weight [out, in] or [O, C, kh, kw]
 * @param strength 1 as trained
 */
export function mergedWeight(weight: HostTensor, { adapter, values }: TrainedModule, strength = 1): HostTensor {
  const part = (name: string) => input(name, values[name].shape);
  const merged = adapter.weight(input('weight', adapter.shape), part, strength),
    frozen = { ...toFloat32(weight), shape: adapter.shape };
  const result = evaluate(merged, { weight: frozen, ...values });
  return fromFloat32({ ...result, shape: weight.shape }, weight.dtype);
}

/**
 * A network's weight, float32, with adapters on the network that add up as they do where a picture is drawn.
 * @param name of the parameter; one that no adapter changes comes back as it is
 */
export function mergedInto(
  weight: HostTensor,
  name: string,
  adapters: readonly { readonly values: AdapterValues; readonly scale: number }[],
): HostTensor {
  const module = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : undefined;
  const changed = adapters.flatMap(({ values, scale }) => {
    const trained = module === undefined ? undefined : values.get(module);
    return trained ? [mergedWeight(weight, trained, scale)] : [];
  });
  if (changed.length <= 1) return changed[0] ?? weight;
  const base = floats(weight);
  return { ...weight, data: base.map((v, i) => changed.reduce((sum, one) => sum + (floats(one)[i] - v), v)) };
}
