/** Frozen weights of linear layers and convolutions in 8 bits, made once and shared by all runs on the same weights. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../base/logger.js';
import type { Shape } from '../tensor/host.js';
import { dequantize, reshape } from '../tensor/ops.js';
import { quantizeRows } from '../tensor/quantize-rows.js';
import { weight, type Tensor } from '../tensor/tensor.js';
import { FrozenSource } from './frozen-source.js';
import { fingerprint } from './fingerprint.js';
import { defaultCacheDir } from '../base/cache-dir.js';
import { openSafetensors, writeSafetensorsStream, type TensorSpec } from './safetensors/safetensors.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

/** Part of the key: raise it when packing changes. */
const VERSION = 1;
const SCALES = '.scales';
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
      packed = quantizeRows(await weights.readFloat32(isScales ? name.slice(0, -SCALES.length) : name));
    return isScales ? packed.scales : packed.q;
  });
}
