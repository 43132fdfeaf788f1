/**
 * A program as a list of TensorFlow.js calls. The order of elements in memory is chosen here, once: pictures get channels
 * last at the first convolution and stay so through normalisation, activations, sums and tokens, and filters are brought
 * into TensorFlow's order when the program is loaded.
 */
import { sizeOf, type HostTensor, type Shape } from '../../tensor/host.js';
import { primitive, TFJS_TYPE, type Tfjs, type TfjsForm, type TfjsTensor } from '../../tensor/primitive.js';
import {
  isLeaf,
  leafName,
  topo,
  type Attrs,
  type Node,
  type Tensor,
  type TensorType,
  type WeightSource,
} from '../../tensor/tensor.js';
import type { Program } from '../backend.js';
import { signature } from '../signature.js';
import {
  axisOrder,
  conversion,
  cut,
  FILTER,
  grouped,
  isPlain,
  ordered,
  PICTURE,
  restrict,
  sameLayout,
  transposed,
  type Cut,
  type Layout,
} from './layout.js';

/** A tensor on the device; its shape is whatever the call that made it gave. */
export interface Value {
  readonly layout: Layout;
  readonly elements: number;
}

export type Leaf =
  | { readonly op: 'constant'; readonly value: HostTensor }
  /** `turn`: brought into another order of elements */
  | { readonly op: 'weight'; readonly source: WeightSource; readonly type: TensorType; readonly turn?: Turn }
  | { readonly op: 'input' | 'state'; readonly name: string };

/** Seen as this shape, axes transposed by this permutation. */
export interface Turn {
  readonly shape: readonly number[];
  readonly perm: readonly number[];
}

export interface Step {
  /** for error messages */
  readonly label: string;
  readonly inputs: readonly Value[];
  readonly outs: readonly Value[];
  run(tf: Tfjs, inputs: readonly TfjsTensor[]): readonly TfjsTensor[];
}

export interface Plan {
  readonly leaves: ReadonlyMap<Value, Leaf>;
  /** depend on constants and weights only: done once, when the program is loaded */
  readonly frozen: readonly Step[];
  readonly steps: readonly Step[];
  /** row-major */
  readonly outputs: readonly (readonly [string, Value, TensorType])[];
  readonly updates: readonly (readonly [string, Value, TensorType])[];
}

/** @throws Error for a parameter that is not bound to a state */
export function plan(program: Program): Plan {
  return new Planner(program).plan;
}

type Form = Exclude<TfjsForm<Attrs, number>, (...args: never[]) => unknown>;
type FormOf<O> = Extract<Form, { order: O }>;

class Planner {
  readonly plan: Plan;
  private readonly leaves = new Map<Value, Leaf>();
  private readonly named = new Map<string, Value>();
  private readonly steps: Step[] = [];
  private readonly values = new Map<Tensor, Value>();
  /** the same elements in other orders */
  private readonly copies = new Map<Value, Value[]>();
  private label = '';

  constructor({ outputs, updates = {} }: Program) {
    const results = [...Object.values(outputs), ...Object.values(updates)];
    for (const node of topo(results)) {
      this.label = signature(node);
      if (isLeaf(node)) this.values.set(node.outs[0], this.leaf(node));
      else this.add(node).forEach((value, i) => this.values.set(node.outs[i], value));
    }
    this.label = 'results';
    const result = ([name, t]: [string, Tensor]) => [name, this.plain(this.value(t)), t] as const;
    const [out, next] = [Object.entries(outputs).map(result), Object.entries(updates).map(result)];
    const read = new Set([
      ...this.steps.flatMap(({ inputs }) => inputs),
      ...[...out, ...next].map(([, value]) => value),
    ]);
    for (const value of [...this.leaves.keys()]) if (!read.has(value)) this.leaves.delete(value); // a weight that is only read in another order
    this.plan = { leaves: this.leaves, ...this.freeze(), outputs: out, updates: next };
  }

  private value = (t: Tensor): Value => this.values.get(t) as Value;

  private leaf({ op, outs: [out], payload }: Node): Value {
    if (op === 'parameter') throw new Error(`parameter "${leafName(out)}" is not bound to a state`);
    const value = row(out.shape);
    if (op === 'constant') this.leaves.set(value, { op, value: payload as HostTensor });
    else if (op === 'weight') this.leaves.set(value, { op, source: payload as WeightSource, type: out });
    else {
      const key = `${op} ${leafName(out)}`,
        known = this.named.get(key);
      if (known) return known;
      this.named.set(key, value);
      this.leaves.set(value, { op: op as 'input' | 'state', name: leafName(out) });
    }
    return value;
  }

  private add(node: Node): readonly Value[] {
    const [input] = node.inputs,
      [out] = node.outs;
    if (node.op === 'cast' && TFJS_TYPE[input.dtype] === TFJS_TYPE[out.dtype]) return [this.value(input)];
    const form = primitive(node.op).tfjs;
    const tuned = typeof form === 'function' ? undefined : this.tuned(node, form);
    if (tuned) return tuned;
    const run = typeof form === 'function' ? form : (form as FormOf<'any' | 'permuted'>).run;
    const shapes = node.inputs.map((t) => t.shape);
    return this.step(
      node.inputs.map((t) => this.plain(this.value(t))),
      shapes,
      node.outs.map((o) => row(o.shape)),
      (tf, inputs) => run(tf, inputs, node.attrs, node.outs),
    );
  }

  /** In the order that is best for the form; undefined for `any` and `permuted` where that is row-major. */
  private tuned(node: Node, form: Form): readonly Value[] | undefined {
    switch (form.order) {
      case 'any':
        return this.elementwise(node, form);
      case 'along':
        return this.along(node, form);
      case 'permuted':
        return this.permuted(node, form);
      case 'channelsLast':
        return this.channelsLast(node, form);
      case 'renamed':
        return [this.renamed(node, form)];
    }
  }

  private elementwise(node: Node, form: FormOf<'any'>): readonly Value[] | undefined {
    const { shape } = node.outs[0],
      full = node.inputs.map((t) => this.value(t)).filter(({ elements }) => elements === sizeOf(shape));
    const layout = (full.find((v) => !isPlain(v.layout)) ?? full[0])?.layout;
    const c = layout && !isPlain(layout) ? cut(layout, shape) : undefined;
    if (!c) return undefined;
    // Axes that an operand has, and those it is broadcast along; neighbours that no operand tells apart are one axis.
    const has = node.inputs.map(
      ({ shape: own }) =>
        (f: number) =>
          (own[c.axis[f] - shape.length + own.length] ?? 1) > 1,
    );
    const { sizes, kinds } = grouped(c, (f) => has.map((h) => (h(f) ? '1' : '0')).join(''));
    const inputs = node.inputs.map((t, i) => this.convert(this.value(t), restrict(c, has[i])));
    const shapes = inputs.map((_, i) => sizes.map((n, axis) => (kinds[axis][i] === '1' ? n : 1)));
    return this.step(inputs, shapes, [{ layout: restrict(c, () => true), elements: sizeOf(shape) }], (tf, xs) =>
      form.run(tf, xs, node.attrs, node.outs),
    );
  }

  private along(node: Node, form: FormOf<'along'>): readonly Value[] {
    const [first, ...others] = node.inputs,
      axes = form.axes(node.attrs, first),
      asIs = this.value(first);
    const x = cut(asIs.layout, first.shape) ? asIs : this.plain(asIs);
    const c = cut(x.layout, first.shape) as Cut; // row-major can always be cut
    const within = (f: number): boolean => axes.includes(c.axis[f]);
    const { sizes, kinds } = grouped(c, within);
    const now = kinds.flatMap((inside, axis) => (inside ? [axis] : []));
    const parts = others.map((t) => this.convert(this.value(t), restrict(c, within)));
    const partShape = sizes.map((n, axis) => (kinds[axis] ? n : 1));
    const outs = node.outs.map((o) => this.onAxes(c, o.shape, x.elements, within));
    return this.step([x, ...parts], [sizes, ...parts.map(() => partShape)], outs, (tf, xs) =>
      form.run(tf, xs, node.attrs, node.outs, now),
    );
  }

  /** A result on all axes, or on those that are not reduced. */
  private onAxes(c: Cut, shape: Shape, all: number, within: (factor: number) => boolean): Value {
    const elements = sizeOf(shape);
    return { layout: restrict(c, (f) => elements === all || !within(f)), elements };
  }

  private permuted(node: Node, form: FormOf<'permuted'>): readonly Value[] | undefined {
    const [out] = node.outs,
      values = node.inputs.map((t) => this.value(t));
    const leading = values.findIndex((v) => !isPlain(v.layout)),
      perm = leading < 0 ? undefined : axisOrder(values[leading].layout, node.inputs[leading].shape);
    if (!perm) return undefined;
    const inputs = values.map((v, i) => this.convert(v, ordered(node.inputs[i].shape, perm)));
    const attrs = form.attrs(node.attrs, perm),
      seen = (shape: Shape): number[] => perm.map((a) => shape[a]);
    return this.step(
      inputs,
      node.inputs.map((t) => seen(t.shape)),
      [{ layout: ordered(out.shape, perm), elements: sizeOf(out.shape) }],
      (tf, xs) => form.run(tf, xs, attrs, [{ dtype: out.dtype, shape: seen(out.shape) }]),
    );
  }

  private channelsLast(node: Node, form: FormOf<'channelsLast'>): readonly Value[] {
    const axes = node.inputs.map(({ shape }, i) =>
      shape.length !== 4 ? shape.map((_, a) => a) : i === 1 ? FILTER : PICTURE,
    );
    const inputs = node.inputs.map((t, i) => this.convert(this.value(t), ordered(t.shape, axes[i])));
    const outs = node.outs.map(({ shape }) => ({ layout: ordered(shape, PICTURE), elements: sizeOf(shape) }));
    return this.step(
      inputs,
      node.inputs.map((t, i) => axes[i].map((a) => t.shape[a])),
      outs,
      (tf, xs) => form.run(tf, xs, node.attrs, node.outs),
    );
  }

  private renamed({ inputs: [t], attrs }: Node, form: FormOf<'renamed'>): Value {
    const perm = form.perm(attrs),
      asIs = this.value(t);
    if (!perm) return asIs; // shapes are given by those who read
    const x = transposed(asIs.layout, t.shape, perm) ? asIs : this.plain(asIs);
    const layout = transposed(x.layout, t.shape, perm) as Layout;
    return this.step([x], [undefined], [{ layout, elements: x.elements }], (tf, [y]) => tf.clone(y))[0];
  }

  private plain = (value: Value): Value =>
    isPlain(value.layout) ? value : this.convert(value, ordered([value.elements]));

  /** The value in another order; each is made once. */
  private convert(value: Value, layout: Layout): Value {
    if (sameLayout(value.layout, layout)) return value;
    const copies = this.copies.get(value) ?? [];
    const known = copies.find((copy) => sameLayout(copy.layout, layout));
    if (known) return known;
    const way = conversion(value.layout, layout);
    if (!way) return this.convert(this.plain(value), layout);
    const copy = { layout, elements: value.elements },
      leaf = this.leaves.get(value);
    if (leaf?.op === 'weight') this.leaves.set(copy, { ...leaf, turn: way });
    else
      this.steps.push({
        label: `order for ${this.label}`,
        inputs: [value],
        outs: [copy],
        run: (tf, [x]) => [tf.transpose(seenAs(tf, x, way.shape), [...way.perm])],
      });
    this.copies.set(value, [...copies, copy]);
    return copy;
  }

  /** @param shapes what the rule sees the inputs as; undefined: as they come */
  private step(
    inputs: readonly Value[],
    shapes: readonly (readonly number[] | undefined)[],
    outs: readonly Value[],
    rule: (tf: Tfjs, inputs: TfjsTensor[]) => TfjsTensor | readonly TfjsTensor[],
  ): readonly Value[] {
    const run = (tf: Tfjs, tensors: readonly TfjsTensor[]): readonly TfjsTensor[] =>
      [
        rule(
          tf,
          tensors.map((x, i) => seenAs(tf, x, shapes[i])),
        ),
      ].flat() as TfjsTensor[];
    this.steps.push({ label: this.label, inputs, outs, run });
    return outs;
  }

  /** Steps that need constants and weights only, unless what they give is larger than what they need (a repeated value). */
  private freeze(): { frozen: Step[]; steps: Step[] } {
    const known = new Set(
      [...this.leaves].filter(([, { op }]) => op === 'constant' || op === 'weight').map(([value]) => value),
    );
    const parts = { frozen: [] as Step[], steps: [] as Step[] };
    const total = (values: readonly Value[]): number => values.reduce((n, { elements }) => n + elements, 0);
    for (const step of this.steps) {
      const frozen = step.inputs.every((value) => known.has(value)) && total(step.outs) <= total(step.inputs);
      if (frozen) step.outs.forEach((value) => known.add(value));
      parts[frozen ? 'frozen' : 'steps'].push(step);
    }
    return parts;
  }
}

const row = (shape: Shape): Value => ({ layout: ordered(shape), elements: sizeOf(shape) });

export function seenAs(tf: Tfjs, x: TfjsTensor, shape: readonly number[] | undefined): TfjsTensor {
  return !shape || (x.shape.length === shape.length && x.shape.every((n, i) => n === shape[i]))
    ? x
    : tf.reshape(x, [...shape]);
}
