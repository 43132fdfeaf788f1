/** `weights.json` beside a `model.onnx`: which bytes of its data file are which weight, so that adapters can be put on them. */
import type { DType, Shape } from '../../tensor/host.js';

/** Weights of a `model.onnx`, in the same folder, as Optimum calls it. */
export const DATA_FILE = 'model.onnx_data';
export const INDEX_FILE = 'weights.json';
/** Behind the name of a weight in 8 bits: its scales. */
export const SCALES = '.scales';

export interface Bytes {
  readonly offset: number;
  readonly bytes: number;
}

export interface StoredWeight extends Bytes {
  /** uint8: (q - 128) * scale by rows of the first axis, as src/tensor/ops/dequantize.ts */
  readonly dtype: DType & ('float32' | 'float16' | 'uint8');
  readonly shape: Shape;
  readonly scales?: Bytes;
}

export type WeightIndex = Readonly<Record<string, StoredWeight>>;
