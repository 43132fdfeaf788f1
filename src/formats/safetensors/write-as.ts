/** Stored tensors, of any format, as one safetensors file. */
import { FileError } from '../../base/errors.js';
import { floats, type HostTensor } from '../../tensor/host.js';
import { fromFloat32, isFloat, toFloat32, type FloatType } from '../float-formats.js';
import type { TensorSpec } from './safetensors-header.js';
import { writeSafetensorsStream, type WriteProgress } from './safetensors.js';

export interface TensorSource {
  readonly specs: readonly TensorSpec[];
  read(name: string): Promise<HostTensor>;
}

export interface WriteAsOptions {
  /** of floating-point tensors; by default as stored */
  readonly dtype?: FloatType | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly progress?: WriteProgress | undefined;
}

/**
 * One tensor at a time.
 * @throws UserError when a value is too large for `dtype`
 */
export async function writeAs(
  path: string,
  source: TensorSource,
  { dtype, metadata = {}, progress }: WriteAsOptions = {},
): Promise<void> {
  const specs = source.specs.map((spec) => ({ ...spec, dtype: dtype && isFloat(spec.dtype) ? dtype : spec.dtype }));
  await writeSafetensorsStream(
    path,
    specs,
    async (spec) => {
      const tensor = await source.read(spec.name);
      return tensor.dtype === spec.dtype ? tensor : narrowed(spec, toFloat32(tensor));
    },
    { format: 'pt', ...metadata },
    progress,
  );
}

function narrowed({ name, dtype }: TensorSpec, wide: HostTensor): HostTensor {
  // Above the last value before infinity, rounded: 65504 + half a step.
  const tooLarge =
    dtype === 'float16' ? floats(wide).find((value) => Math.abs(value) >= 65520 && Number.isFinite(value)) : undefined;
  if (tooLarge !== undefined)
    throw new FileError(
      `tensor "${name}": ${tooLarge} is too large for float16, which ends at 65504; convert to float32`,
    );
  return fromFloat32(wide, dtype);
}
