/** @returns pixels, from the header of a PNG file (IHDR: width at byte 16, height at 20, big-endian) */
export function pngSize(png: Uint8Array): { width: number; height: number } {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  return { width: view.getUint32(16), height: view.getUint32(20) };
}
