/**
 * Where layers get their parameters. A layer asks its scope for a name below the scope's path; the source decides whether
 * that is a frozen weight of a file, a trainable parameter, or just a shape that is written down.
 */
import type { Shape } from '../../tensor/host.js';
import { parameter, type Tensor } from '../../tensor/tensor.js';

export interface ParamSource {
  /** @param name full name, e.g. `down_blocks.0.resnets.0.conv1.weight` */
  get(name: string, shape: Shape): Tensor;
  /** The low-rank pair of a module (linear or convolution), when it has one. */
  adapter?(module: string, weightShape: Shape): Adapter | undefined;
  /** Is shown the result of every linear layer and convolution, e.g. to distil from it. */
  tap?(module: string, out: Tensor): void;
}

/** delta W = scale * B A; A [R, in] (or [R, C, kh, kw]), B [out, R] (or [O, R, 1, 1]). Hu et al., arXiv 2106.09685. */
export interface Adapter {
  readonly A: Tensor;
  readonly B: Tensor;
  readonly scale: number;
}

export class Scope {
  constructor(
    private readonly source: ParamSource,
    readonly path = '',
  ) {}

  /** The scope of a submodule: `scope.child('down_blocks', 0)`. */
  child(...names: readonly (string | number)[]): Scope {
    return new Scope(this.source, [this.path, ...names].filter((n) => n !== '').join('.'));
  }

  param(name: string, shape: Shape): Tensor {
    return this.source.get(this.path ? `${this.path}.${name}` : name, shape);
  }

  /** `out` is what this module computed; gives it back. */
  tap(out: Tensor): Tensor {
    this.source.tap?.(this.path, out);
    return out;
  }

  /** The adapter of this module, given the shape of its weight. */
  adapter(weightShape: Shape): Adapter | undefined {
    return this.source.adapter?.(this.path, weightShape);
  }
}

/** Writes down what a model asks for: parameter counts, random initialisation, key checks. */
export class RecordingSource implements ParamSource {
  readonly shapes = new Map<string, Shape>();

  get(name: string, shape: Shape): Tensor {
    this.shapes.set(name, shape);
    return parameter(name, shape);
  }
}
