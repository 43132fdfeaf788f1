/** Weights of one model component, in one file or several. */
import type { DType, HostTensor, Shape } from '../tensor/host.js';

export interface TensorEntry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: Shape;
  /** absolute path */
  readonly file: string;
  /** of the first byte, in the file */
  readonly offset: number;
  readonly bytes: number;
}

export interface WeightFile {
  readonly files: readonly string[];
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** @throws UserError for an unknown name */
  read(name: string): Promise<HostTensor>;
  /** As `read`, float16 and bfloat16 widened. */
  readFloat32(name: string): Promise<HostTensor>;
}
