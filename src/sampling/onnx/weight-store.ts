/** The weights of one ONNX file: where each is in `model.onnx_data`, and how it gets there. */
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { finished } from 'node:stream/promises';
import { bytesOf } from '../../backends/bytes.js';
import { FileError } from '../../base/errors.js';
import { fromFloat32, toFloat32 } from '../../formats/float-formats.js';
import type { ParamSource } from '../../networks/layers/scope.js';
import { bytesPerElement, floats, sizeOf, type DType, type HostTensor, type Shape } from '../../tensor/host.js';
import { cast, dequantize } from '../../tensor/ops.js';
import { quantizeRows } from '../../tensor/quantize-rows.js';
import { weight, type Tensor } from '../../tensor/tensor.js';
import { DATA_FILE, SCALES, type StoredWeight, type WeightIndex } from './weight-index.js';

/** How weights are stored; what is computed stays float32. */
export type OnnxDtype = 'float32' | 'float16' | 'int8';

/** Of a page of memory, so that a runtime can map large weights. */
const PAGE = 4096,
  LARGE = 2 ** 20;

/** The first and the last convolution are small, and errors there are seen most; embeddings are looked up, not multiplied. */
const packs = (name: string, shape: Shape): boolean =>
  name.endsWith('.weight') && shape.length > 1 && !/^conv_(in|out)\.|_embedding\.weight$/.test(name);

/** Gives a graph its weights, and lays them out in the order in which it asks for them. */
export class WeightStore implements ParamSource {
  private readonly leaves = new Map<string, Tensor>();
  private readonly stored = new Map<string, StoredWeight>();
  private end = 0;

  constructor(private readonly dtype: OnnxDtype) {}

  get(name: string, shape: Shape): Tensor {
    const leaf = this.leaves.get(name) ?? this.leaf(name, shape);
    this.leaves.set(name, leaf);
    return leaf;
  }

  /** What is where, for who changes weights in the file. */
  get index(): WeightIndex {
    return Object.fromEntries(this.stored);
  }

  /** @param read a weight's value, float32 */
  async write(path: string, read: (name: string) => Promise<HostTensor>, onWeight: () => void): Promise<void> {
    const out = createWriteStream(path);
    let at = 0;
    const put = async (offset: number, value: HostTensor): Promise<void> => {
      for (const bytes of [new Uint8Array(offset - at), bytesOf(value)])
        if (!out.write(bytes)) await once(out, 'drain');
      at = offset + bytesOf(value).byteLength;
    };
    for (const [name, { dtype, shape, offset, scales }] of this.stored) {
      const value = { ...(await read(name)), shape };
      if (scales) {
        const packed = quantizeRows(value);
        await put(offset, packed.q);
        await put(scales.offset, packed.scales);
      } else await put(offset, dtype === 'float16' ? narrowed(name, value) : value);
      onWeight();
    }
    out.end();
    await finished(out);
  }

  private leaf(name: string, shape: Shape): Tensor {
    const store = (key: string, dtype: DType, of: Shape): { offset: number; bytes: number; leaf: Tensor } => {
      const bytes = sizeOf(of) * bytesPerElement[dtype],
        step = bytes >= LARGE ? PAGE : 16,
        offset = Math.ceil(this.end / step) * step;
      this.end = offset + bytes;
      return { offset, bytes, leaf: weight({ key, file: DATA_FILE, offset, bytes }, { dtype, shape: of }) };
    };
    if (this.dtype === 'int8' && packs(name, shape)) {
      const q = store(name, 'uint8', shape),
        scales = store(name + SCALES, 'float32', [shape[0]]);
      this.stored.set(name, {
        dtype: 'uint8',
        shape,
        offset: q.offset,
        bytes: q.bytes,
        scales: { offset: scales.offset, bytes: scales.bytes },
      });
      return dequantize(q.leaf, scales.leaf);
    }
    // Biases and norms are small, and sums are sensitive to them.
    const dtype = this.dtype === 'float16' && shape.length > 1 ? 'float16' : 'float32',
      { offset, bytes, leaf } = store(name, dtype, shape);
    this.stored.set(name, { dtype, shape, offset, bytes });
    return cast(leaf, 'float32');
  }
}

function narrowed(name: string, value: HostTensor): HostTensor {
  // Above the last value before infinity, rounded: 65504 + half a step.
  const tooLarge = floats(toFloat32(value)).find((v) => Math.abs(v) >= 65520);
  if (tooLarge !== undefined)
    throw new FileError(`tensor "${name}": ${tooLarge} is too large for float16, which ends at 65504; take float32`);
  return fromFloat32(value, 'float16');
}
