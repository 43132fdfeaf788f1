/** The algebraic rules of `simplify`, as data. */
import { add, concat, div, expand, mul, neg, pad, recompute, reshape, sub, transpose } from '../ops.js';
import { applyPrimitive, primitive } from '../primitive.js';
import type { Attrs, Tensor } from '../tensor.js';
import { any, is, literal, op, uniformValue, type Bound, type Rule } from './pattern.js';

const x = any('x'),
  y = any('y'),
  a = literal('a'),
  b = literal('b');
const value = (t: Tensor): number => uniformValue(t) as number;
const ints = (t: Tensor, attr: string): readonly number[] => t.node.attrs[attr] as readonly number[];
/** The node itself: functions of `ops.ts` leave out what does nothing. */
const node = (name: string, inputs: readonly Tensor[], attrs: Attrs = {}): Tensor =>
  applyPrimitive(primitive(name), inputs, attrs)[0];

const ARITHMETIC: readonly Rule[] = [
  { law: 'x + 0 = x', match: op('add', x, is(0)), to: (m) => m['x'], example: (x) => add(0, x) },
  { law: 'x - 0 = x', match: op('sub', x, is(0)), to: (m) => m['x'], example: (x) => sub(x, 0) },
  { law: '0 - x = -x', match: op('sub', is(0), x), to: (m) => neg(m['x']), example: (x) => sub(0, x) },
  { law: 'x * 1 = x', match: op('mul', x, is(1)), to: (m) => m['x'], example: (x) => mul(1, x) },
  { law: 'x * -1 = -x', match: op('mul', x, is(-1)), to: (m) => neg(m['x']), example: (x) => mul(x, -1) },
  { law: 'x / 1 = x', match: op('div', x, is(1)), to: (m) => m['x'], example: (x) => div(x, 1) },
  { law: '-(-x) = x', match: op('neg', op('neg', x)), to: (m) => m['x'], example: (x) => neg(neg(x)) },
  {
    law: 'x + (-y) = x - y',
    match: op('add', x, op('neg', y)),
    to: (m) => sub(m['x'], m['y']),
    example: (x, y) => add(neg(y), x),
  },
  {
    law: 'x - (-y) = x + y',
    match: op('sub', x, op('neg', y)),
    to: (m) => add(m['x'], m['y']),
    example: (x, y) => sub(x, neg(y)),
  },
  {
    law: '(x + a) + b = x + (a + b)',
    match: op('add', op('add', x, a), b),
    to: (m) => add(m['x'], value(m['a']) + value(m['b'])),
    example: (x) => add(add(x, 0.25), 0.5),
  },
  {
    law: '(x * a) * b = x * (a b)',
    match: op('mul', op('mul', x, a), b),
    to: (m) => mul(m['x'], value(m['a']) * value(m['b'])),
    example: (x) => mul(0.5, mul(x, 3)),
  },
  {
    law: '(-x) * a = x * (-a)',
    match: op('mul', op('neg', x), a),
    to: (m) => mul(m['x'], -value(m['a'])),
    example: (x) => mul(neg(x), 3),
  },
  {
    law: '-(x * a) = x * (-a)',
    match: op('neg', op('mul', x, a)),
    to: (m) => mul(m['x'], -value(m['a'])),
    example: (x) => neg(mul(x, 3)),
  },
];

const REARRANGING: readonly Rule[] = [
  {
    law: 'a reshape to the same shape is nothing',
    match: op('reshape', x),
    to: (m) => m['x'],
    example: (x) => node('reshape', [x], { shape: x.shape }),
  },
  {
    law: 'a reshape of a reshape is one reshape',
    match: op('reshape', op('reshape', x)),
    to: (m, out) => reshape(m['x'], out.shape),
    example: (x) => node('reshape', [reshape(x, [6, 4])], { shape: [8, 3] }),
  },
  {
    law: 'a transpose of a transpose is one transpose',
    match: op('transpose', op('transpose', x)),
    to: (m, out) => {
      const inner = ints(out.node.inputs[0], 'perm');
      return transpose(
        m['x'],
        ints(out, 'perm').map((p) => inner[p]),
      );
    },
    example: (x) => transpose(transpose(x, [1, 2, 0]), [0, 2, 1]),
  },
  {
    law: 'a transpose that moves nothing is nothing',
    match: op('transpose', x),
    to: (m, out) => (ints(out, 'perm').every((p, i) => p === i) ? m['x'] : undefined),
    example: (x) => node('transpose', [x], { perm: [0, 1, 2] }),
  },
  {
    law: 'an expansion of an expansion is one expansion',
    match: op('expand', op('expand', x)),
    to: (m, out) => expand(m['x'], out.shape),
    example: (_x, y) => expand(expand(y, [3, 4]), [2, 3, 4]),
  },
  {
    // the gradient of a tensor that was cut in two, as GEGLU cuts its projection
    law: 'two tensors that are padded to fill one another are one after the other',
    match: op('add', op('pad', x), op('pad', y)),
    to: (m, out) =>
      joined(out.node.inputs[0], m['x'], out.node.inputs[1], m['y']) ??
      joined(out.node.inputs[1], m['y'], out.node.inputs[0], m['x']),
    example: (x, y) =>
      add(
        pad(x, [0, 4, 0], [0, 0, 0]),
        pad(expand(y, [...x.shape.slice(0, 1), 4, ...x.shape.slice(2)]), [0, 0, 0], [0, x.shape[1], 0]),
      ),
  },
  {
    law: 'a cast to the same dtype is nothing',
    match: op('cast', x),
    to: (m) => m['x'],
    example: (x) => node('cast', [x], { to: 'float32' }),
  },
];

/** `first` then `second`, when the zeros of each are where the other is. */
function joined(padFirst: Tensor, first: Tensor, padSecond: Tensor, second: Tensor): Tensor | undefined {
  const [after, before] = [ints(padFirst, 'after'), ints(padSecond, 'before')];
  const axis = after.findIndex((n) => n > 0);
  if (axis < 0 || [...ints(padFirst, 'before'), ...ints(padSecond, 'after')].some((n) => n > 0)) return undefined;
  const fits =
    after.every((n, i) => n === (i === axis ? second.shape[axis] : 0)) &&
    before.every((n, i) => n === (i === axis ? first.shape[axis] : 0));
  return fits ? concat([first, second], axis) : undefined;
}

/** Binary ops broadcast by themselves. */
const BROADCASTING: readonly Rule[] = ['add', 'sub', 'mul', 'div', 'minimum', 'maximum', 'lessOrEqual'].flatMap(
  (name) => {
    const apply = (m: Bound): Tensor => node(name, [m['x'], m['y']]);
    return [
      {
        law: `${name}: a left operand needs no expansion`,
        match: op(name, op('expand', x), y),
        to: apply,
        example: (x, y) => node(name, [expand(y, x.shape), x]),
      },
      {
        law: `${name}: a right operand needs no expansion`,
        match: op(name, x, op('expand', y)),
        to: apply,
        example: (x, y) => node(name, [x, expand(y, x.shape)]),
      },
    ] satisfies Rule[];
  },
);

/** Matrix products read an operand transposed at no cost. */
const PRODUCTS: readonly Rule[] = ['matmul', 'gemm'].flatMap((name) => {
  const flip =
    (side: 'transA' | 'transB') =>
    (m: Bound, out: Tensor): Tensor | undefined => {
      const at = side === 'transA' ? 0 : 1,
        perm = ints(out.node.inputs[at], 'perm'),
        last = perm.length - 1;
      const swaps =
        perm[last] === last - 1 && perm[last - 1] === last && perm.every((p, i) => i >= last - 1 || p === i);
      return swaps ? node(name, [m['x'], m['y']], { ...out.node.attrs, [side]: !out.node.attrs[side] }) : undefined;
    };
  const plain = { transA: false, transB: false };
  const square = (x: Tensor): Tensor => (name === 'gemm' ? reshape(x, [6, 4]) : x);
  const turned = (x: Tensor): Tensor => transpose(square(x), name === 'gemm' ? [1, 0] : [0, 2, 1]);
  return [
    {
      law: `${name}: a left operand is read transposed`,
      match: op(name, op('transpose', x), y),
      to: flip('transA'),
      example: (x) => node(name, [turned(x), square(x)], plain),
    },
    {
      law: `${name}: a right operand is read transposed`,
      match: op(name, x, op('transpose', y)),
      to: flip('transB'),
      example: (x) => node(name, [square(x), turned(x)], plain),
    },
  ] satisfies Rule[];
});

/** Gradients are made before these rules run. */
const MARKS: readonly Rule[] = [
  {
    law: 'what is computed again from one tensor is itself',
    match: op('recompute', x, any('from')),
    to: (m) => m['x'],
    example: (x) => recompute(mul(x, 2), [x]),
  },
  {
    law: 'what is computed again from two tensors is itself',
    match: op('recompute', x, any('from'), any('other')),
    to: (m) => m['x'],
    example: (x, y) => recompute(add(x, y), [x, y]),
  },
];

export const RULES: readonly Rule[] = [...ARITHMETIC, ...REARRANGING, ...BROADCASTING, ...PRODUCTS, ...MARKS];
