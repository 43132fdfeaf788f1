/** Rows of a table by index (token embeddings), and its transpose. */
import { sizeOf } from '../host.js';
import { moves, operations } from '../cost.js';
import { check, definePrimitive, type RefArray } from '../primitive.js';
import type { Tensor } from '../tensor.js';

const applyGather = definePrimitive<Record<never, never>, 2>({
  name: 'gatherRows',
  infer: ([table, rows]) => {
    check(
      table.shape.length === 2 && rows.dtype === 'int32',
      'gatherRows',
      () => `needs a [rows, width] table and int32 indices, got rank ${table.shape.length} and ${rows.dtype}`,
    );
    return { dtype: table.dtype, shape: [...rows.shape, table.shape[1]] };
  },
  vjp: ([ct], [table, rows], { needs }) => [
    needs[0] ? scatterAddRows(ct as Tensor, rows, table.shape[0]) : undefined,
    undefined,
  ],
  onnx: (emit, { inputs: [table, rows], outputs, inTypes: [{ shape }, { shape: at }], outTypes: [out] }) => {
    if (shape[1] > 1) return void emit.node('Gather', [table, rows], outputs, { axis: { i: 0 } });
    // Gather copies each row by itself: of one number, 15 times as long as this on the CPU.
    const flat = (x: string, size: number): string => emit.node('Reshape', [x, emit.ints([size])], 1)[0];
    const [values] = emit.node('GatherElements', [flat(table, shape[0]), flat(rows, sizeOf(at))], 1, {
      axis: { i: 0 },
    });
    emit.node('Reshape', [values, emit.ints(out.shape)], outputs);
  },
  tfjs: (tf, [table, rows]) => tf.gather(table, rows),
  reference: ([table, rows], _attrs, [out]): RefArray => {
    const width = table.shape[1],
      data = new Float64Array(sizeOf(out.shape));
    rows.data.forEach((row, i) => data.set(table.data.subarray(row * width, (row + 1) * width), i * width));
    return { shape: out.shape, data };
  },
  cost: moves,
  samples: [
    {
      shapes: [
        [5, 3],
        [2, 4],
      ],
      attrs: {},
      indices: { 1: 5 },
    },
    {
      shapes: [
        [5, 1],
        [2, 4],
      ],
      attrs: {},
      indices: { 1: 5 },
    },
  ],
});

/** table [V, D], rows int32 [...] -> [..., D] */
export const gatherRows = (table: Tensor, rows: Tensor): Tensor => applyGather([table, rows], {})[0];

const applyScatter = definePrimitive<{ rows: number }, 2>({
  name: 'scatterAddRows',
  infer: ([values], { rows }) => ({ dtype: values.dtype, shape: [rows, values.shape[values.shape.length - 1]] }),
  vjp: ([ct], [, rows], { needs }) => [needs[0] ? gatherRows(ct as Tensor, rows) : undefined, undefined],
  onnx: (emit, { inputs: [values, rows], outputs, attrs, inTypes }) => {
    const width = inTypes[0].shape[inTypes[0].shape.length - 1],
      count = sizeOf(inTypes[1].shape);
    const [zeros] = emit.node('Expand', [emit.floats([0]), emit.ints([attrs.rows, width])], 1);
    const [flat] = emit.node('Reshape', [rows, emit.ints([count, 1])], 1);
    const [wide] = emit.node('Cast', [flat], 1, { to: { i: 7 } }); // ScatterND takes int64 indices
    const [updates] = emit.node('Reshape', [values, emit.ints([count, width])], 1);
    emit.node('ScatterND', [zeros, wide, updates], outputs, { reduction: { s: 'add' } });
  },
  tfjs: (tf, [values, rows], attrs) =>
    tf.unsortedSegmentSum(tf.reshape(values, [-1, values.shape[values.rank - 1]]), tf.reshape(rows, [-1]), attrs.rows),
  reference: ([values, rows], _attrs, [out]): RefArray => {
    const width = out.shape[1],
      data = new Float64Array(sizeOf(out.shape));
    rows.data.forEach((row, i) => {
      for (let j = 0; j < width; j++) data[row * width + j] += values.data[i * width + j];
    });
    return { shape: out.shape, data };
  },
  cost: ([values]) => operations(sizeOf(values.shape)),
  samples: [
    {
      shapes: [
        [2, 4, 3],
        [2, 4],
      ],
      attrs: { rows: 5 },
      indices: { 1: 5 },
    },
  ],
});

/** Adds each row of values [..., D] into row `rows[...]` of a zero [count, D] table. */
export const scatterAddRows = (values: Tensor, rows: Tensor, count: number): Tensor =>
  applyScatter([values, rows], { rows: count })[0];
