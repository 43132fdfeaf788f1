import t from 'tap';
import { ReferenceBackend } from '../../src/backends/reference/reference-backend.js';
import { Rng } from '../../src/base/rng.js';
import { grad } from '../../src/tensor/autodiff.js';
import { floats, sizeOf, type HostTensor } from '../../src/tensor/host.js';
import { add, mul, stopGradient, sum } from '../../src/tensor/ops.js';
import { applyPrimitive, primitives, type AnyPrimitive, type RefArray } from '../../src/tensor/primitive.js';
import { constant, input } from '../../src/tensor/tensor.js';
import { sampleInputs } from '../../src/checking/sample-inputs.js';

const backend = new ReferenceBackend({});
const H = 1e-5; // float64 central differences: error about H^2

/** Only the first result of layerNorm is differentiable, by its contract. */
const differentiable = (name: string, count: number): number => (name === 'layerNorm' ? 1 : count);

void t.test('every gradient rule agrees with central differences in float64', async (t) => {
  for (const [name, rule] of primitives()) {
    if (name === 'stopGradient') continue; // its gradient is none, by its contract
    for (const [s, sample] of rule.samples.entries()) {
      const values = sampleInputs(name, sample, s);
      const floating = values.map((_, i) => i).filter((i) => sample.indices?.[i] === undefined);
      const inputs = values.map((v, i) => input(`x${i}`, v.shape, v.dtype));
      const outs = applyPrimitive(rule, inputs, sample.attrs).slice(0, differentiable(name, Infinity));
      const weights = outs.map((o, i) =>
        Float32Array.from(new Rng(s).stream(`${name} cotangent`, i).normals(sizeOf(o.shape))),
      );
      const loss = outs
        .map((o, i) => sum(mul(o, constant({ dtype: 'float32', shape: o.shape, data: weights[i] }))))
        .reduce((a, b) => add(a, b));
      const program = await backend.compile({
        name,
        outputs: Object.fromEntries(
          grad(
            loss,
            floating.map((i) => inputs[i]),
          ).map((g, k) => [String(floating[k]), g]),
        ),
      });
      const grads = await program.run(Object.fromEntries(values.map((v, i) => [`x${i}`, v])));
      for (const i of floating) {
        const got = floats(grads[i]),
          expected = differences(rule, sample.attrs, values, i, weights);
        const top = expected.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-3);
        const worst = expected.reduce((m, v, k) => Math.max(m, Math.abs(v - got[k])), 0);
        t.ok(worst / top < 1e-5, `${name} sample ${s} input ${i}: ${worst / top}`);
      }
    }
  }
});

void t.test('stopGradient keeps the value and lets no gradient through', async (t) => {
  const x = input('x', [3]);
  const y = sum(mul(stopGradient(x), x));
  const program = await backend.compile({ name: 'stop', outputs: { y, gradient: grad(y, [x])[0] } });
  const { y: value, gradient } = await program.run({
    x: { dtype: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) },
  });
  t.same([...floats(value), ...floats(gradient)], [14, 1, 2, 3]); // not 2 x
});

/** d sum(weights * f(x)) / d x_i, element by element. */
function differences(
  rule: AnyPrimitive,
  attrs: AnyPrimitive['samples'][number]['attrs'],
  values: readonly HostTensor[],
  i: number,
  weights: readonly Float32Array[],
): Float64Array {
  const arrays = values.map((v): RefArray => ({ shape: v.shape, data: Float64Array.from(v.data as Float32Array) }));
  const types = rule.infer(values, attrs) as unknown;
  const outTypes = (Array.isArray(types) ? types : [types]) as Parameters<AnyPrimitive['reference']>[2];
  const evaluate = (): number => {
    const result = rule.reference(arrays, attrs, outTypes);
    const outs = (Array.isArray(result) ? result : [result]) as RefArray[];
    return weights.reduce((total, w, k) => total + w.reduce((a, v, j) => a + v * outs[k].data[j], 0), 0);
  };
  return arrays[i].data.slice().map((x, k) => {
    const at = (v: number): number => {
      arrays[i].data[k] = v;
      return evaluate();
    };
    const slope = (at(x + H) - at(x - H)) / (2 * H);
    arrays[i].data[k] = x;
    return slope;
  });
}
