/** Frozen parameters, read in place from a component's weight file. */
import { FileError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Shape } from '../tensor/host.js';
import { cast } from '../tensor/ops.js';
import { weight, type Tensor } from '../tensor/tensor.js';
import type { ParamSource } from '../networks/layers/scope.js';
import type { WeightFile } from './weight-file.js';

/** A file that lacks so many parameters is another network's. */
const MANY = 1000;

/** Names a tensor may have in an older file. */
export type Rename = (name: string) => string | undefined;

export class FrozenSource implements ParamSource {
  private readonly leaves = new Map<string, Tensor>();

  constructor(
    readonly weights: WeightFile,
    private readonly olderName: Rename = () => undefined,
  ) {}

  /** @throws UserError when the tensor is missing or has another shape */
  get(name: string, shape: Shape): Tensor {
    const known = this.leaves.get(name);
    if (known && String(known.shape) === String(shape)) return known;
    const entry = this.weights.entries.get(this.storedName(name));
    if (!entry)
      throw new FileError(
        `${this.weights.files[0]}: no tensor "${name}" [${shape}]; the weights do not belong to this config.json`,
      );
    // A linear layer may be stored as the 1x1 convolution it equals, and the other way round.
    if (String(squeeze(entry.shape)) !== String(squeeze(shape))) {
      throw new FileError(
        `${entry.file}: tensor "${name}" has shape [${entry.shape}], the config.json asks for [${shape}]; the weights do not belong to it`,
      );
    }
    const { file, offset, bytes, dtype } = entry;
    const leaf = cast(weight({ key: name, file, offset, bytes }, { dtype, shape }), 'float32');
    this.leaves.set(name, leaf);
    return leaf;
  }

  /**
   * For `recorded`: ends the recording of a network that cannot be the one in the file, before it is built to its end.
   * Which parameters are missing, `check` says better, unless there are too many.
   */
  fits(): (name: string, shape: Shape) => void {
    const missing: string[] = [];
    return (name, shape) => {
      if (this.weights.entries.has(this.storedName(name))) this.get(name, shape);
      else if (missing.push(name) > MANY)
        throw new FileError(
          `${this.weights.files[0]}: missing ${missing.slice(0, 3).join(', ')}, ... (more than ${MANY}); the weights do not belong to this config.json`,
        );
    };
  }

  /** The name under which the file holds a parameter. */
  storedName(name: string): string {
    const older = this.weights.entries.has(name) ? undefined : this.olderName(name);
    return older !== undefined && this.weights.entries.has(older) ? older : name;
  }

  /**
   * Every parameter must be in the file, with its shape. Other tensors are named in one line of the log, as diffusers
   * and transformers do; without a log they are refused.
   * @param ignored buffers that real checkpoints carry
   * @throws UserError listing what is missing or unexpected
   */
  check(shapes: ReadonlyMap<string, Shape>, ignored: RegExp, log?: Logger): void {
    const wanted = new Set([...shapes.keys()].map((n) => this.storedName(n)));
    const missing = [...wanted].filter((n) => !this.weights.entries.has(n));
    const unexpected = [...this.weights.entries.keys()].filter((n) => !wanted.has(n) && !ignored.test(n));
    const list = (names: string[]): string =>
      `${names.slice(0, 3).join(', ')}${names.length > 3 ? `, ... (${names.length} in all)` : ''}`;
    if (missing.length > 0)
      throw new FileError(
        `${this.weights.files[0]}: missing ${list(missing)}; the weights do not belong to this config.json`,
      );
    if (unexpected.length > 0 && !log)
      throw new FileError(
        `${this.weights.files[0]}: unexpected ${list(unexpected)}; the weights do not belong to this config.json`,
      );
    for (const [name, shape] of shapes) this.get(name, shape);
    if (unexpected.length > 0)
      log?.warn(`${this.weights.files[0]}: not used: ${list(unexpected)}; this config.json has no place for it`);
  }
}

const squeeze = (shape: Shape): number[] => {
  const out = [...shape];
  while (out.length > 2 && out[out.length - 1] === 1) out.pop();
  return out;
};

/** VAE attention before diffusers 0.18: `query`, `key`, `value`, `proj_attn`. */
export const olderVaeName: Rename = (name) => {
  const older: Readonly<Record<string, string>> = {
    to_q: 'query',
    to_k: 'key',
    to_v: 'value',
    'to_out.0': 'proj_attn',
  };
  const match = /^(.*\.attentions\.0\.)(to_q|to_k|to_v|to_out\.0)(\.(?:weight|bias))$/.exec(name);
  return match ? `${match[1]}${older[match[2]]}${match[3]}` : undefined;
};
