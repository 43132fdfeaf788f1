/** 2-D convolution (NCHW, weights [O, C, kh, kw]), its transpose, nearest 2x upsampling and average pooling. */
import { sizeOf, type Shape } from '../host.js';
import { moves, multiplyAdds, operations } from '../cost.js';
import { check, definePrimitive, shapeText, type RefArray, type Tfjs } from '../primitive.js';
import type { Tensor } from '../tensor.js';
import { concat, pad, reshape, slice, transpose } from './shape.js';
import { gemm } from './matmul.js';
import { sum } from './sum-expand.js';
import { mul } from './elementwise.js';

type Tfjs4D = ReturnType<Tfjs['tensor4d']>;

/** `pads` as in ONNX: top, left, bottom, right. */
type ConvAttrs = { stride: number; pads: readonly number[] };

const applyConv = definePrimitive<ConvAttrs, number>({
  name: 'conv2d',
  infer: ([x, w, bias], { stride, pads }) => {
    check(
      x.shape.length === 4 && w.shape.length === 4 && x.shape[1] === w.shape[1],
      'conv2d',
      () => `input ${shapeText(x.shape)} does not fit weights ${shapeText(w.shape)}; channels must agree`,
    );
    check(
      !bias || bias.shape[0] === w.shape[0],
      'conv2d',
      () => `bias ${shapeText(bias.shape)} is not [${w.shape[0]}]`,
    );
    const [B, , H, W] = x.shape,
      [O, , kh, kw] = w.shape;
    return {
      dtype: x.dtype,
      shape: [
        B,
        O,
        Math.floor((H + pads[0] + pads[2] - kh) / stride) + 1,
        Math.floor((W + pads[1] + pads[3] - kw) / stride) + 1,
      ],
    };
  },
  vjp: ([ct], [x, w, bias], { attrs, needs }) => {
    const g = ct as Tensor;
    const grads = [
      needs[0] ? convInputGrad(g, w, x.shape, attrs) : undefined,
      needs[1] ? convWeightGrad(g, x, w.shape, attrs) : undefined,
    ];
    return bias ? [...grads, needs[2] ? sum(g, [0, 2, 3]) : undefined] : grads;
  },
  onnx: (emit, { inputs, outputs, attrs }) =>
    void emit.node('Conv', inputs, outputs, {
      strides: { ints: [attrs.stride, attrs.stride] },
      pads: { ints: attrs.pads },
    }),
  tfjs: {
    order: 'channelsLast',
    run: (tf, [x, w, bias], { stride, pads: [top, left, bottom, right] }) => {
      const padded =
        top + left + bottom + right === 0
          ? x
          : tf.pad(x, [
              [0, 0],
              [top, bottom],
              [left, right],
              [0, 0],
            ]);
      const y = tf.conv2d(padded as Tfjs4D, w as Tfjs4D, stride, 'valid');
      return bias ? tf.add(y, bias) : y;
    },
  },
  reference: ([x, w, bias], { stride, pads }, [out]): RefArray => {
    const [B, C, H, W] = x.shape,
      [O, , kh, kw] = w.shape,
      [, , oh, ow] = out.shape;
    const data = new Float64Array(sizeOf(out.shape));
    eachTap(B, O, C, oh, ow, kh, kw, stride, pads, H, W, (o, xi, wi) => (data[o] += x.data[xi] * w.data[wi]));
    if (bias) data.forEach((v, i) => (data[i] = v + bias.data[Math.floor(i / (oh * ow)) % O]));
    return { shape: out.shape, data };
  },
  cost: ([, w, bias], _attrs, [out]) =>
    multiplyAdds(sizeOf(out.shape) * (sizeOf(w.shape) / w.shape[0]), bias ? sizeOf(out.shape) : 0),
  samples: [
    { shapes: [[2, 3, 5, 4], [4, 3, 3, 3], [4]], attrs: { stride: 1, pads: [1, 1, 1, 1] } },
    { shapes: [[1, 2, 6, 6], [3, 2, 3, 3], [3]], attrs: { stride: 2, pads: [1, 1, 1, 1] } },
    {
      shapes: [
        [1, 2, 6, 5],
        [3, 2, 3, 3],
      ],
      attrs: { stride: 2, pads: [0, 0, 1, 1] },
    },
    { shapes: [[2, 3, 4, 4], [2, 3, 1, 1], [2]], attrs: { stride: 1, pads: [0, 0, 0, 0] } },
  ],
});

/** Visits every (output, input, weight) index triple of a convolution. */
function eachTap(
  B: number,
  O: number,
  C: number,
  oh: number,
  ow: number,
  kh: number,
  kw: number,
  stride: number,
  pads: readonly number[],
  H: number,
  W: number,
  visit: (out: number, x: number, w: number) => void,
): void {
  for (let b = 0; b < B; b++)
    for (let o = 0; o < O; o++)
      for (let c = 0; c < C; c++)
        for (let i = 0; i < oh; i++)
          for (let j = 0; j < ow; j++)
            for (let p = 0; p < kh; p++)
              for (let q = 0; q < kw; q++) {
                const y = i * stride + p - pads[0],
                  z = j * stride + q - pads[1];
                if (y >= 0 && y < H && z >= 0 && z < W)
                  visit(
                    ((b * O + o) * oh + i) * ow + j,
                    ((b * C + c) * H + y) * W + z,
                    ((o * C + c) * kh + p) * kw + q,
                  );
              }
}

/** x [B,C,H,W], w [O,C,kh,kw], bias [O] -> [B,O,oh,ow]; `padding` zeros on every side, or ONNX pads. */
export function conv2d(
  x: Tensor,
  w: Tensor,
  bias: Tensor | undefined,
  stride: number,
  padding: number | readonly number[],
): Tensor {
  const pads = typeof padding === 'number' ? [padding, padding, padding, padding] : [...padding];
  return applyConv(bias ? [x, w, bias] : [x, w], { stride, pads })[0];
}

const applyConvTranspose = definePrimitive<ConvAttrs & { size: readonly number[] }, 2>({
  name: 'convTranspose2d',
  infer: ([g, w], { size }) => {
    check(
      g.shape[1] === w.shape[0],
      'convTranspose2d',
      () => `input ${shapeText(g.shape)} does not fit weights ${shapeText(w.shape)}`,
    );
    return { dtype: g.dtype, shape: [g.shape[0], w.shape[1], size[0], size[1]] };
  },
  vjp: ([ct], [g, w], { attrs, needs }) => [
    needs[0] ? conv2d(ct as Tensor, w, undefined, attrs.stride, attrs.pads) : undefined,
    needs[1] ? convWeightGrad(g, ct as Tensor, w.shape, attrs) : undefined,
  ],
  onnx: (emit, { inputs, outputs, attrs: { stride, pads, size }, inTypes: [g, w] }) => {
    // What stride and pads leave open of the wanted size goes to output_padding (bottom, right).
    const open = [0, 1].map((d) => size[d] - ((g.shape[2 + d] - 1) * stride + w.shape[2 + d] - pads[d] - pads[2 + d]));
    emit.node('ConvTranspose', inputs, outputs, {
      strides: { ints: [stride, stride] },
      pads: { ints: pads },
      output_padding: { ints: open },
    });
  },
  tfjs: {
    order: 'channelsLast',
    run: (
      tf,
      [g, w],
      { stride, pads: [top, left, bottom, right] },
      [
        {
          shape: [B, C, H, W],
        },
      ],
    ) => {
      // The gradient of a convolution that does not pad, then the rim is cut off: only that is the same on every tfjs backend.
      const y = tf.conv2dTranspose(
        g as Tfjs4D,
        w as Tfjs4D,
        [B, H + top + bottom, W + left + right, C],
        stride,
        'valid',
      );
      return top + left + bottom + right === 0 ? y : tf.slice(y, [0, top, left, 0], [B, H, W, C]);
    },
  },
  reference: ([g, w], { stride, pads, size }, [out]): RefArray => {
    const [B, O, oh, ow] = g.shape,
      [, C, kh, kw] = w.shape;
    const data = new Float64Array(sizeOf(out.shape));
    eachTap(
      B,
      O,
      C,
      oh,
      ow,
      kh,
      kw,
      stride,
      pads,
      size[0],
      size[1],
      (o, xi, wi) => (data[xi] += g.data[o] * w.data[wi]),
    );
    return { shape: out.shape, data };
  },
  cost: ([g, w]) => multiplyAdds(sizeOf(g.shape) * (sizeOf(w.shape) / w.shape[0])), // every input reaches every tap
  samples: [
    {
      shapes: [
        [2, 4, 5, 4],
        [4, 3, 3, 3],
      ],
      attrs: { stride: 1, pads: [1, 1, 1, 1], size: [5, 4] },
    },
    {
      shapes: [
        [1, 3, 3, 3],
        [3, 2, 3, 3],
      ],
      attrs: { stride: 2, pads: [1, 1, 1, 1], size: [6, 6] },
    },
  ],
});

/** Gradient of a convolution with respect to its input, on the same weights. */
function convInputGrad(g: Tensor, w: Tensor, shape: Shape, attrs: ConvAttrs): Tensor {
  const [O, C, kh, kw] = w.shape,
    [B, , H, W] = shape;
  if (kh === 1 && kw === 1 && attrs.stride === 1 && attrs.pads.every((p) => p === 0) && B === 1) {
    return reshape(gemm(reshape(w, [O, C]), reshape(g, [O, H * W]), undefined, true), [1, C, H, W]);
  }
  return applyConvTranspose([g, w], { ...attrs, size: [H, W] })[0];
}

/**
 * Gradient with respect to the weights [O, C, kh, kw]: one product of g with a shifted view of x per tap.
 * The views are strided slices, so no im2col buffer of kh*kw times the input is made at once.
 */
function convWeightGrad(g: Tensor, x: Tensor, shape: Shape, { stride, pads }: ConvAttrs): Tensor {
  const [B, O, oh, ow] = g.shape,
    [, C, kh, kw] = shape;
  const flat = reshape(transpose(g, [1, 0, 2, 3]), [O, B * oh * ow]);
  const padded = pad(x, [0, 0, pads[0], pads[1]], [0, 0, pads[2], pads[3]]);
  const taps = Array.from({ length: kh * kw }, (_, k) => {
    const top = Math.floor(k / kw),
      left = k % kw;
    const view = slice(
      padded,
      [0, 0, top, left],
      [B, C, top + (oh - 1) * stride + 1, left + (ow - 1) * stride + 1],
      [1, 1, stride, stride],
    );
    return reshape(gemm(flat, reshape(transpose(view, [1, 0, 2, 3]), [C, B * oh * ow]), undefined, false, true), [
      1,
      O * C,
    ]);
  });
  return reshape(transpose(concat(taps, 0), [1, 0]), [O, C, kh, kw]);
}

const applyUpsample = definePrimitive<Record<never, never>, 1>({
  name: 'upsampleNearest2x',
  infer: ([x]) => ({ dtype: x.dtype, shape: [x.shape[0], x.shape[1], x.shape[2] * 2, x.shape[3] * 2] }),
  vjp: ([ct]) => [mul(averagePool2x(ct as Tensor), 4)],
  onnx: (emit, { inputs, outputs }) => {
    const attrs = {
      mode: { s: 'nearest' },
      coordinate_transformation_mode: { s: 'asymmetric' },
      nearest_mode: { s: 'floor' },
    };
    emit.node('Resize', [inputs[0], '', emit.floats([1, 1, 2, 2])], outputs, attrs);
  },
  tfjs: {
    order: 'channelsLast',
    run: (
      tf,
      [x],
      _attrs,
      [
        {
          shape: [B, C, H, W],
        },
      ],
    ) => tf.reshape(tf.tile(tf.reshape(x, [(B * H) / 2, 1, W / 2, 1, C]), [1, 2, 1, 2, 1]), [B, H, W, C]),
  },
  reference: ([x], _attrs, [out]): RefArray => {
    const [B, C, H, W] = out.shape,
      data = new Float64Array(sizeOf(out.shape));
    for (let p = 0; p < B * C; p++)
      for (let i = 0; i < H; i++)
        for (let j = 0; j < W; j++) data[(p * H + i) * W + j] = x.data[(p * (H / 2) + (i >> 1)) * (W / 2) + (j >> 1)];
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [{ shapes: [[2, 2, 2, 3]], attrs: {} }],
});

/** [B,C,H,W] -> [B,C,2H,2W], each pixel repeated. */
export const upsampleNearest2x = (x: Tensor): Tensor => applyUpsample([x], {})[0];

const applyPool = definePrimitive<Record<never, never>, 1>({
  name: 'averagePool2x',
  infer: ([x]) => {
    check(x.shape[2] % 2 === 0 && x.shape[3] % 2 === 0, 'averagePool2x', () => `${shapeText(x.shape)} has an odd side`);
    return { dtype: x.dtype, shape: [x.shape[0], x.shape[1], x.shape[2] / 2, x.shape[3] / 2] };
  },
  vjp: ([ct]) => [mul(upsampleNearest2x(ct as Tensor), 0.25)],
  onnx: (emit, { inputs, outputs }) =>
    void emit.node('AveragePool', inputs, outputs, { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }),
  tfjs: {
    order: 'channelsLast',
    run: (
      tf,
      [x],
      _attrs,
      [
        {
          shape: [B, C, H, W],
        },
      ],
    ) => tf.reshape(tf.mean(tf.reshape(x, [B * H, 2, W, 2, C]), [1, 3]), [B, H, W, C]),
  },
  reference: ([x], _attrs, [out]): RefArray => {
    const [, , H, W] = x.shape,
      data = new Float64Array(sizeOf(out.shape));
    x.data.forEach((v, i) => {
      const plane = Math.floor(i / (H * W)),
        row = Math.floor(i / W) % H,
        column = i % W;
      data[(plane * (H / 2) + (row >> 1)) * (W / 2) + (column >> 1)] += v / 4;
    });
    return { shape: out.shape, data };
  },
  cost: ([x]) => operations(sizeOf(x.shape)),
  samples: [{ shapes: [[2, 2, 4, 6]], attrs: {} }],
});

/** Mean of each 2x2 square: [B,C,H,W] -> [B,C,H/2,W/2]. */
export const averagePool2x = (x: Tensor): Tensor => applyPool([x], {})[0];
