/**
 * Where layers get their parameters. A layer asks its scope for a name below the scope's path; the source decides whether
 * that is a frozen weight of a file, a trainable parameter, or just a shape that is written down.
 */
import type { Shape } from '../../tensor/host.js';
import { parameter, type Tensor } from '../../tensor/tensor.js';

export interface ParamSource {
  /** @param name full name, e.g. `down_blocks.0.resnets.0.conv1.weight` */
  get(name: string, shape: Shape): Tensor;
  /** What changes a module (linear or convolution), when anything does. */
  adapter?(module: string, weightShape: Shape): Adapter | undefined;
  /** Is shown the result of every linear layer and convolution, e.g. to distil from it. */
  tap?(module: string, out: Tensor): void;
}

/** One linear layer or convolution, as an adapter sees it. */
export interface AdaptedLayer {
  /** what comes in: [rows, in], or pixels [B, C, H, W] */
  readonly input: Tensor;
  /** frozen, in torch's layout: [out, in] or [O, C, kh, kw] */
  readonly weight: Tensor;
  /** [out] */
  readonly bias: Tensor | undefined;
  /**
   * What the layer would answer with another weight, or to another input of the same shape.
   * @param weight as `weight`, with any number of outputs
   * @returns [rows, outputs] or [B, outputs, H', W']
   */
  apply(weight: Tensor, bias?: Tensor, input?: Tensor): Tensor;
  /** Mixes the outputs of such an answer. @param weight [out, outputs] or [O, outputs, 1, 1] */
  mix(answer: Tensor, weight: Tensor): Tensor;
  /** One value per output [out], in the shape that multiplies an answer. */
  perOutput(values: Tensor): Tensor;
}

/** Changes what one module answers. No layer knows how. */
export interface Adapter {
  /** in place of `layer.apply(layer.weight, layer.bias)` */
  answer(layer: AdaptedLayer): Tensor;
  /** what `answer` adds to the answer without it; adapters on one module add up */
  change(layer: AdaptedLayer): Tensor;
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
