/** Rearranging: reshape, transpose, slice, concat, pad, cast. */
import { sameShape, sizeOf, type DType, type Shape } from '../host.js';
import { moves } from '../cost.js';
import { strides, walk } from '../broadcast.js';
import { check, definePrimitive, shapeText, TFJS_TYPE, type RefArray } from '../primitive.js';
import { weight, type Tensor, type WeightSource } from '../tensor.js';

const permute = (values: readonly number[], perm: readonly number[]): number[] => perm.map((a) => values[a]);

const applyReshape = definePrimitive<{ shape: Shape }, 1>({
  name: 'reshape',
  infer: ([x], { shape }) => {
    check(
      sizeOf(x.shape) === sizeOf(shape),
      'reshape',
      () => `${shapeText(x.shape)} has ${sizeOf(x.shape)} values, ${shapeText(shape)} needs ${sizeOf(shape)}`,
    );
    return { dtype: x.dtype, shape };
  },
  vjp: ([ct], [x]) => [reshape(ct as Tensor, x.shape)],
  onnx: (emit, { inputs, outputs, attrs }) => void emit.node('Reshape', [inputs[0], emit.shape(attrs.shape)], outputs),
  tfjs: { order: 'renamed', perm: () => undefined },
  reference: ([x], { shape }): RefArray => ({ shape, data: x.data }),
  cost: moves,
  samples: [
    { shapes: [[2, 6]], attrs: { shape: [3, 4] } },
    { shapes: [[1]], attrs: { shape: [] } },
  ],
});

/** The same values in another shape. A reshaped weight is the weight read in that shape, also where it is widened; a reshape of a reshape is one. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (x.node.op === 'weight' && sizeOf(shape) === sizeOf(x.shape))
    return weight(x.node.payload as WeightSource, { dtype: x.dtype, shape });
  if (x.node.op === 'cast' && x.node.inputs[0].node.op === 'weight')
    return cast(reshape(x.node.inputs[0], shape), x.dtype);
  return x.node.op === 'reshape' ? reshape(x.node.inputs[0], shape) : applyReshape([x], { shape: [...shape] })[0];
}

const applyTranspose = definePrimitive<{ perm: readonly number[] }, 1>({
  name: 'transpose',
  infer: ([x], { perm }) => {
    check(
      perm.length === x.shape.length && perm.every((_, i) => perm.includes(i)),
      'transpose',
      () => `[${perm}] does not order the axes of ${shapeText(x.shape)}`,
    );
    return { dtype: x.dtype, shape: perm.map((p) => x.shape[p]) };
  },
  vjp: ([ct], _inputs, { attrs }) => [
    transpose(
      ct as Tensor,
      attrs.perm.map((_, i) => attrs.perm.indexOf(i)),
    ),
  ],
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('Transpose', inputs, outputs, { perm: { ints: attrs.perm } }),
  tfjs: { order: 'renamed', perm: ({ perm }) => perm },
  reference: ([x], { perm }, [out]): RefArray => {
    const own = strides(x.shape),
      data = new Float64Array(x.data.length);
    walk(
      out.shape,
      perm.map((p) => own[p]),
      (i, at) => (data[i] = x.data[at]),
    );
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [{ shapes: [[2, 3, 4]], attrs: { perm: [2, 0, 1] } }],
});

/** Axis i of the result is axis perm[i] of x. */
export const transpose = (x: Tensor, perm: readonly number[]): Tensor =>
  perm.every((p, i) => p === i) ? x : applyTranspose([x], { perm: [...perm] })[0];

type SliceAttrs = { starts: readonly number[]; ends: readonly number[]; steps: readonly number[] };
const sliceShape = ({ starts, ends, steps }: SliceAttrs): number[] =>
  starts.map((s, i) => Math.ceil((ends[i] - s) / steps[i]));

const applySlice = definePrimitive<SliceAttrs, 1>({
  name: 'slice',
  infer: ([x], attrs) => {
    const ok =
      attrs.starts.length === x.shape.length &&
      attrs.starts.every((s, i) => s >= 0 && s < attrs.ends[i] && attrs.ends[i] <= x.shape[i] && attrs.steps[i] >= 1);
    check(
      ok,
      'slice',
      () => `[${attrs.starts}] to [${attrs.ends}] by [${attrs.steps}] is not inside ${shapeText(x.shape)}`,
    );
    return { dtype: x.dtype, shape: sliceShape(attrs) };
  },
  vjp: ([ct], [x], { attrs: { starts, steps } }) => {
    const reached = ct as Tensor;
    const spread = dilate(reached, steps);
    return [
      pad(
        spread,
        starts,
        x.shape.map((d, i) => d - starts[i] - spread.shape[i]),
      ),
    ];
  },
  onnx: (emit, { inputs, outputs, attrs, inTypes }) => {
    const axes = attrs.starts
      .map((_, i) => i)
      .filter((i) => attrs.starts[i] > 0 || attrs.ends[i] < inTypes[0].shape[i] || attrs.steps[i] > 1);
    const of = (values: readonly number[]) => emit.ints(axes.map((a) => values[a]));
    emit.node('Slice', [inputs[0], of(attrs.starts), of(attrs.ends), emit.ints(axes), of(attrs.steps)], outputs);
  },
  tfjs: {
    order: 'permuted',
    attrs: ({ starts, ends, steps }, perm) => ({
      starts: permute(starts, perm),
      ends: permute(ends, perm),
      steps: permute(steps, perm),
    }),
    run: (tf, [x], { starts, ends, steps }) =>
      steps.every((step) => step === 1)
        ? tf.slice(
            x,
            [...starts],
            ends.map((e, i) => e - starts[i]),
          )
        : tf.stridedSlice(x, [...starts], [...ends], [...steps]),
  },
  reference: ([x], { starts, steps }, [out]): RefArray => {
    const own = strides(x.shape),
      data = new Float64Array(sizeOf(out.shape));
    const start = starts.reduce((at, s, i) => at + s * own[i], 0);
    walk(
      out.shape,
      own.map((s, i) => s * steps[i]),
      (i, at) => (data[i] = x.data[at]),
      start,
    );
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [
    { shapes: [[4, 5]], attrs: { starts: [1, 0], ends: [3, 5], steps: [1, 1] } },
    { shapes: [[5, 6]], attrs: { starts: [0, 1], ends: [5, 6], steps: [2, 2] } },
  ],
});

/** Puts step - 1 zeros between neighbours along each axis. */
function dilate(x: Tensor, steps: readonly number[]): Tensor {
  let out = x;
  steps.forEach((step, axis) => {
    if (step === 1) return;
    const split = [...out.shape.slice(0, axis + 1), 1, ...out.shape.slice(axis + 1)];
    const zeros = split.map(() => 0);
    const widened = pad(
      reshape(out, split),
      zeros,
      zeros.map((_, i) => (i === axis + 1 ? step - 1 : 0)),
    );
    const merged = reshape(
      widened,
      out.shape.map((d, i) => (i === axis ? d * step : d)),
    );
    out = narrow(merged, axis, 0, (x.shape[axis] - 1) * step + 1);
  });
  return out;
}

/** Half-open box [starts, ends) with steps (default 1). */
export function slice(
  x: Tensor,
  starts: readonly number[],
  ends: readonly number[],
  steps: readonly number[] = starts.map(() => 1),
): Tensor {
  const whole = starts.every((s, i) => s === 0 && ends[i] === x.shape[i] && steps[i] === 1);
  return whole ? x : applySlice([x], { starts: [...starts], ends: [...ends], steps: [...steps] })[0];
}

/** Indices [start, end) of one axis. */
export function narrow(x: Tensor, axis: number, start: number, end: number): Tensor {
  return slice(
    x,
    x.shape.map((_, i) => (i === axis ? start : 0)),
    x.shape.map((d, i) => (i === axis ? end : d)),
  );
}

const applyConcat = definePrimitive<{ axis: number }, number>({
  name: 'concat',
  infer: (inputs, { axis }) => {
    const [first] = inputs;
    const fits = inputs.every(
      (x) => x.shape.length === first.shape.length && x.shape.every((d, i) => i === axis || d === first.shape[i]),
    );
    check(
      fits,
      'concat',
      () => `shapes ${inputs.map((x) => shapeText(x.shape)).join(', ')} differ outside axis ${axis}`,
    );
    return {
      dtype: first.dtype,
      shape: first.shape.map((d, i) => (i === axis ? inputs.reduce((n, x) => n + x.shape[axis], 0) : d)),
    };
  },
  vjp: ([ct], inputs, { attrs: { axis } }) => {
    let at = 0;
    return inputs.map((x) => narrow(ct as Tensor, axis, at, (at += x.shape[axis])));
  },
  onnx: (emit, { inputs, outputs, attrs }) => void emit.node('Concat', inputs, outputs, { axis: { i: attrs.axis } }),
  tfjs: {
    order: 'permuted',
    attrs: ({ axis }, perm) => ({ axis: perm.indexOf(axis) }),
    run: (tf, inputs, { axis }) => tf.concat([...inputs], axis),
  },
  reference: (inputs, { axis }, [out]): RefArray => {
    const data = new Float64Array(sizeOf(out.shape)),
      own = strides(out.shape);
    let at = 0;
    for (const x of inputs) {
      walk(x.shape, own, (i, to) => (data[to] = x.data[i]), at * own[axis]);
      at += x.shape[axis];
    }
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [
    {
      shapes: [
        [2, 3],
        [2, 1],
        [2, 2],
      ],
      attrs: { axis: 1 },
    },
    {
      shapes: [
        [1, 3],
        [2, 3],
      ],
      attrs: { axis: 0 },
    },
  ],
});

export const concat = (inputs: readonly Tensor[], axis: number): Tensor =>
  inputs.length === 1 ? inputs[0] : applyConcat(inputs, { axis })[0];

const applyPad = definePrimitive<{ before: readonly number[]; after: readonly number[] }, 1>({
  name: 'pad',
  infer: ([x], { before, after }) => {
    check(
      [...before, ...after].every((p) => p >= 0),
      'pad',
      () => `before [${before}] and after [${after}] must not be negative`,
    );
    return { dtype: x.dtype, shape: x.shape.map((d, i) => before[i] + d + after[i]) };
  },
  vjp: ([ct], [x], { attrs: { before } }) => [
    slice(
      ct as Tensor,
      before,
      x.shape.map((d, i) => before[i] + d),
    ),
  ],
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('Pad', [inputs[0], emit.ints([...attrs.before, ...attrs.after])], outputs),
  tfjs: {
    order: 'permuted',
    attrs: ({ before, after }, perm) => ({ before: permute(before, perm), after: permute(after, perm) }),
    run: (tf, [x], { before, after }) =>
      tf.pad(
        x,
        before.map((b, i) => [b, after[i]] as [number, number]),
      ),
  },
  reference: ([x], { before }, [out]): RefArray => {
    const data = new Float64Array(sizeOf(out.shape)),
      own = strides(out.shape);
    walk(
      x.shape,
      own,
      (i, to) => (data[to] = x.data[i]),
      before.reduce((at, b, i) => at + b * own[i], 0),
    );
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [{ shapes: [[2, 3]], attrs: { before: [0, 1], after: [1, 0] } }],
});

/** Zeros before and after each axis. */
export const pad = (x: Tensor, before: readonly number[], after: readonly number[]): Tensor =>
  [...before, ...after].every((p) => p === 0) ? x : applyPad([x], { before: [...before], after: [...after] })[0];

/** TensorProto.DataType of onnx.proto */
const ONNX_TYPE: Record<DType, number> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  bfloat16: 16,
};

const applyCast = definePrimitive<{ to: string }, 1>({
  name: 'cast',
  infer: ([x], { to }) => ({ dtype: to as DType, shape: x.shape }),
  vjp: ([ct], [x]) => [cast(ct as Tensor, x.dtype)],
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('Cast', inputs, outputs, { to: { i: ONNX_TYPE[attrs.to as DType] } }),
  tfjs: { order: 'any', run: (tf, [x], { to }) => tf.cast(x, TFJS_TYPE[to as DType]) },
  reference: ([x], { to }): RefArray => ({
    shape: x.shape,
    data: to.startsWith('int') ? x.data.map(Math.trunc) : x.data,
  }),
  cost: moves,
  samples: [
    { shapes: [[2, 3]], attrs: { to: 'float32' } },
    { shapes: [[4]], attrs: { to: 'float32' }, indices: { 0: 9 } },
  ],
});

/** Converts the element type; the reference backend keeps float64 for float32, and rounds to float16. */
export const cast = (x: Tensor, to: DType): Tensor => (x.dtype === to ? x : applyCast([x], { to })[0]);
