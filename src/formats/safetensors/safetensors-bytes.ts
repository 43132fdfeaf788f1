/** A safetensors file in memory. */
import { fromBytes } from '../../backends/bytes.js';
import { FileError } from '../../base/errors.js';
import type { HostTensor } from '../../tensor/host.js';
import { toFloat32 } from '../float-formats.js';
import { headerOf, type Header } from './safetensors-header.js';

export interface TensorsInMemory extends Header {
  /** float32 */
  read(name: string): HostTensor;
}

/** @param file how its user calls it @throws UserError when the file is not complete, or no safetensors file */
export function safetensorsOf(bytes: Uint8Array, file: string): TensorsInMemory {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    length = bytes.byteLength >= 8 ? Number(view.getBigUint64(0, true)) : Infinity;
  if (8 + length > bytes.byteLength)
    throw new FileError(`${file}: not a complete safetensors file of ${bytes.byteLength} bytes; download it again`);
  const header = headerOf(new TextDecoder().decode(bytes.subarray(8, 8 + length)), file, bytes.byteLength, 8 + length);
  return {
    ...header,
    read: (name) => {
      const entry = header.entries.get(name);
      if (!entry) throw new FileError(`${file}: no tensor "${name}"`);
      const { offset, dtype, shape } = entry;
      return toFloat32(fromBytes(bytes.slice(offset, offset + entry.bytes), dtype, shape));
    },
  };
}
