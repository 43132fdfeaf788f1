/** TFRecord files: length, checksum of it, data, checksum of that; all little-endian (tensorflow record_writer.cc). */
import { maskedCrc32c } from './crc32c.js';

export function record(data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 16),
    view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(bytes.subarray(0, 8)), true);
  bytes.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return bytes;
}

/** The whole records of a file with their data; a torn end is left out. */
export function* records(file: Uint8Array): Generator<{ readonly whole: Uint8Array; readonly data: Uint8Array }> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at + 12 <= file.length;) {
    const length = Number(view.getBigUint64(at, true)),
      end = at + 16 + length;
    if (end > file.length || view.getUint32(at + 8, true) !== maskedCrc32c(file.subarray(at, at + 8))) return;
    yield { whole: file.subarray(at, end), data: file.subarray(at + 12, end - 4) };
    at = end;
  }
}
