/** All primitives on their samples as one program, for comparing backends. */
import type { Program } from '../backends/backend.js';
import { Rng } from '../base/rng.js';
import { grad } from '../tensor/autodiff.js';
import { float32, sizeOf, type HostTensor } from '../tensor/host.js';
import { add, attention, conv2d, gemm, matmul, mean, mul, square, sum } from '../tensor/ops.js';
import { halfProducts } from '../tensor/passes/half-products.js';
import { applyPrimitive, primitives } from '../tensor/primitive.js';
import { constant, input, type Tensor } from '../tensor/tensor.js';
import { sampleInputs } from './sample-inputs.js';

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

/** Products of 16 bits among values of 32: as a training step with AmpOptimWrapper, gradients included. */
export function halfSweep(): Sweep {
  const shapes = { q: [1, 6, 8], kv: [1, 5, 8], x: [1, 4, 6, 6], w: [3, 4, 3, 3], m: [6, 8] } as const;
  const leaves = Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, input(name, shape)])),
    { q, kv, x, w, m } = leaves;
  const results = {
    attention: attention(q, kv, kv, 2, 0.5),
    conv: conv2d(x, w, undefined, 1, 1),
    gemm: gemm(m, m, undefined, false, true),
    matmul: matmul(q, kv, false, true),
  };
  const loss = Object.values(results)
      .map((y) => mean(square(y)))
      .reduce((a, b) => add(a, b)),
    wanted = Object.keys(leaves);
  const gradients = grad(
    loss,
    wanted.map((name) => leaves[name]),
  );
  const outputs = { ...results, ...Object.fromEntries(gradients.map((g, i) => [`d_${wanted[i]}`, g])) },
    found = halfProducts(Object.values(outputs));
  const feeds = Object.entries(shapes).map(([name, shape]) => {
    const stream = new Rng(0).stream(`half ${name}`);
    const values = Float32Array.from({ length: sizeOf(shape) }, () => 2 * stream.uniform() - 1);
    return [name, float32(values, shape)] as const;
  });
  return {
    program: { name: 'halves', outputs: Object.fromEntries(Object.keys(outputs).map((name, i) => [name, found[i]])) },
    feeds: Object.fromEntries(feeds),
  };
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
