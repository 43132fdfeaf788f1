/** All primitives on their samples as one program, for comparing backends. */
import type { Program } from '../src/backends/backend.js';
import { Rng } from '../src/base/rng.js';
import { grad } from '../src/tensor/autodiff.js';
import { sizeOf, type HostTensor } from '../src/tensor/host.js';
import { add, mul, sum } from '../src/tensor/ops.js';
import { applyPrimitive, primitives } from '../src/tensor/primitive.js';
import { constant, input, type Tensor } from '../src/tensor/tensor.js';
import { sampleInputs } from './sample-tensors.js';

export interface Sweep {
  readonly program: Program;
  readonly feeds: Record<string, HostTensor>;
}

/** What every primitive gives: outputs `<name>.<sample>-><result>`. */
export function valueSweep(): Sweep {
  return sweep('values', (key, _inputs, outs) => outs.map((out, o) => [`${key}->${o}`, out]));
}

/** Gradients of a weighted sum of the first result of every primitive: outputs `d <name>.<sample>/<input>`. */
export function gradientSweep(): Sweep {
  return sweep('gradients', (key, inputs, [out]) => {
    const data = Float32Array.from(new Rng(0).stream(`${key} cotangent`).normals(sizeOf(out.shape)));
    const loss = sum(mul(out, constant({ dtype: 'float32', shape: out.shape, data })));
    const floating = inputs.filter((x) => x.dtype === 'float32');
    return grad(loss, floating).map((g, i) => [`d ${key}/${inputs.indexOf(floating[i])}`, add(g, 0)]);
  });
}

function sweep(
  name: string,
  outputsOf: (key: string, inputs: readonly Tensor[], outs: readonly Tensor[]) => (readonly [string, Tensor])[],
): Sweep {
  const outputs: Record<string, Tensor> = {},
    feeds: Record<string, HostTensor> = {};
  for (const [op, rule] of primitives())
    for (const [s, sample] of rule.samples.entries()) {
      const key = `${op}.${s}`;
      const inputs = sampleInputs(op, sample, s).map((value, i) => {
        feeds[`${key}.${i}`] = value;
        return input(`${key}.${i}`, value.shape, value.dtype);
      });
      for (const [output, t] of outputsOf(key, inputs, applyPrimitive(rule, inputs, sample.attrs))) outputs[output] = t;
    }
  return { program: { name, outputs }, feeds };
}
