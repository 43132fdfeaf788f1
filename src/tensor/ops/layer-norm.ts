/** Normalisation over the last axis; Ba et al., arXiv 1607.06450. Group norm is this on reshaped input. */
import { sizeOf } from '../host.js';
import { operations } from '../cost.js';
import { definePrimitive, check, shapeText, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { add, mul, neg, sub } from './elementwise.js';
import { sum } from './sum-expand.js';
import { sumLast } from './reduce.js';

/** Results: y, mean, 1 / standard deviation; the last two [..., 1] feed the gradient. */
const apply = definePrimitive<{ eps: number }, number>({
  name: 'layerNorm',
  infer: ([x, scale, bias]) => {
    const width = x.shape[x.shape.length - 1];
    check(
      scale.shape.length === 1 && scale.shape[0] === width && (!bias || bias.shape[0] === width),
      'layerNorm',
      () => `scale ${shapeText(scale.shape)} does not fit ${shapeText(x.shape)}`,
    );
    const rows = { dtype: x.dtype, shape: [...x.shape.slice(0, -1), 1] };
    return [{ dtype: x.dtype, shape: x.shape }, rows, rows];
  },
  vjp: ([ct, ctMean, ctScale], [x, scale, bias], { outs: [, mu, inv], needs }) => {
    check(!ctMean && !ctScale, 'layerNorm', () => 'its statistics have no gradient rule; differentiate y only');
    const g = ct as Tensor,
      width = x.shape[x.shape.length - 1];
    const rows = x.shape.slice(0, -1).map((_, i) => i);
    const normal = mul(sub(x, mu), inv);
    const scaled = mul(g, scale);
    const meanLast = (t: Tensor): Tensor => mul(sumLast(t), 1 / width);
    const dx = mul(inv, add(scaled, neg(add(meanLast(scaled), mul(normal, meanLast(mul(scaled, normal)))))));
    const grads = [dx, needs[1] ? sum(mul(g, normal), rows) : undefined];
    return bias ? [...grads, needs[2] ? sum(g, rows) : undefined] : grads;
  },
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('LayerNormalization', inputs, outputs, { axis: { i: -1 }, epsilon: { f: attrs.eps } }),
  tfjs: {
    order: 'along',
    axes: (_attrs, x) => [x.shape.length - 1],
    run: (tf, [x, scale, bias], { eps }, _outTypes, axes) => {
      const { mean, variance } = tf.moments(x, axes, true);
      const inv = tf.rsqrt(tf.add(variance, eps));
      const y = tf.mul(tf.mul(tf.sub(x, mean), inv), scale);
      return [bias ? tf.add(y, bias) : y, mean, inv];
    },
  },
  reference: ([x, scale, bias], { eps }, [, rows]): RefArray[] => {
    const width = scale.data.length,
      count = x.data.length / width;
    const y = new Float64Array(x.data.length),
      mu = new Float64Array(count),
      inv = new Float64Array(count);
    for (let r = 0; r < count; r++) {
      const values = x.data.subarray(r * width, (r + 1) * width);
      mu[r] = values.reduce((a, b) => a + b, 0) / width;
      inv[r] = 1 / Math.sqrt(values.reduce((a, b) => a + (b - mu[r]) ** 2, 0) / width + eps);
      values.forEach((v, i) => (y[r * width + i] = (v - mu[r]) * inv[r] * scale.data[i] + (bias?.data[i] ?? 0)));
    }
    return [
      { shape: x.shape, data: y },
      { shape: rows.shape, data: mu },
      { shape: rows.shape, data: inv },
    ];
  },
  cost: ([x]) => operations(8 * sizeOf(x.shape)), // mean 1, variance 3, normalise 2, scale and shift 2
  samples: [
    { shapes: [[2, 3, 5], [5], [5]], attrs: { eps: 1e-5 } },
    { shapes: [[4, 6], [6]], attrs: { eps: 1e-3 } },
  ],
});

/** (x - mean) / sqrt(var + eps) * scale + bias over the last axis; scale and bias [width]. */
export const layerNorm = (x: Tensor, scale: Tensor, bias: Tensor | undefined, eps: number): Tensor =>
  apply(bias ? [x, scale, bias] : [x, scale], { eps })[0];
