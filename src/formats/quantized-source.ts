/** Frozen weights of linear layers and convolutions in 8 bits, made once and shared by all runs on the same weights. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../base/logger.js';
import { floats, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { dequantize, reshape, ZERO_POINT } from '../tensor/ops.js';
import { weight, type Tensor } from '../tensor/tensor.js';
import { FrozenSource } from './frozen-source.js';
import { fingerprint } from './fingerprint.js';
import { defaultCacheDir } from '../base/cache-dir.js';
import { openSafetensors, writeSafetensorsStream, type TensorSpec } from './safetensors/safetensors.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

/** Part of the key: raise it when packing changes. */
const VERSION = 1;
const SCALES = '.scales';
/** Largest distance from the zero point that both signs have. */
const MAX = 127;
/** The first and the last convolution are small, and errors there are seen most. */
const packs = ({ name, shape }: TensorEntry): boolean =>
  name.endsWith('.weight') && shape.length > 1 && !/^conv_(in|out)\./.test(name);

export class QuantizedSource extends FrozenSource {
  private readonly unpacked = new Map<string, Tensor>();

  private constructor(
    base: FrozenSource,
    private readonly packed: WeightFile,
  ) {
    super(base.weights);
  }

  /** @throws UserError when the cache folder cannot be written */
  static async of(base: FrozenSource, log: Logger, cacheDir = defaultCacheDir()): Promise<QuantizedSource> {
    const path = join(cacheDir, 'int8', `${(await fingerprint(base.weights)).slice(0, 24)}-${VERSION}.safetensors`);
    if (!(await stat(path).catch(() => undefined))) {
      log.info(`${base.weights.files[0]}: packing to 8 bits, once, into ${path}`);
      await pack(path, base.weights);
    }
    return new QuantizedSource(base, await openSafetensors(path));
  }

  override get(name: string, shape: Shape): Tensor {
    const [q, scales] = [this.packed.entries.get(name), this.packed.entries.get(name + SCALES)];
    if (!q || !scales) return super.get(name, shape);
    const leaf = this.unpacked.get(name) ?? dequantize(leafOf(q), leafOf(scales));
    this.unpacked.set(name, leaf);
    return reshape(leaf, shape);
  }
}

const leafOf = ({ name: key, file, offset, bytes, dtype, shape }: TensorEntry): Tensor =>
  weight({ key, file, offset, bytes }, { dtype, shape });

async function pack(path: string, weights: WeightFile): Promise<void> {
  const specs = [...weights.entries.values()].filter(packs).flatMap(({ name, shape }): TensorSpec[] => [
    { name, dtype: 'uint8', shape },
    { name: name + SCALES, dtype: 'float32', shape: [shape[0]] },
  ]);
  await writeSafetensorsStream(path, specs, async ({ name }) => {
    const isScales = name.endsWith(SCALES),
      packed = quantize(await weights.readFloat32(isScales ? name.slice(0, -SCALES.length) : name));
    return isScales ? packed.scales : packed.q;
  });
}

/** By rows of the first axis: the value furthest from 0 becomes 127 steps. */
export function quantize(tensor: HostTensor): { q: HostTensor; scales: HostTensor } {
  const { shape } = tensor,
    values = floats(tensor),
    width = sizeOf(shape) / shape[0];
  const data = new Uint8Array(values.length),
    scales = new Float32Array(shape[0]);
  for (let row = 0; row < shape[0]; row++) {
    let top = 0;
    for (let i = row * width; i < (row + 1) * width; i++) top = Math.max(top, Math.abs(values[i]));
    scales[row] = top / MAX;
    for (let i = row * width; i < (row + 1) * width; i++)
      data[i] = ZERO_POINT + (top === 0 ? 0 : Math.round(values[i] / scales[row]));
  }
  return { q: { dtype: 'uint8', shape, data }, scales: { dtype: 'float32', shape: [shape[0]], data: scales } };
}
