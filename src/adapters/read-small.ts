/** Tensors of adapter files, in whatever type the tool wrote them. */
import type { WeightFile } from '../formats/weight-file.js';
import { float32, type HostTensor } from '../tensor/host.js';

/** As float32: whole numbers too, which some tools take for alpha. */
export async function readSmall(file: WeightFile, name: string): Promise<HostTensor> {
  const { dtype } = file.entries.get(name) ?? {};
  if (dtype !== 'int64' && dtype !== 'int32' && dtype !== 'uint8') return file.readFloat32(name);
  const { data, shape } = await file.read(name);
  return float32(
    Array.from(data as Iterable<number | bigint>, (v) => Number(v)),
    shape,
  );
}
