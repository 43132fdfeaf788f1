/** What libvips does not tell about a GIF's first frame. Layout: GIF89a specification, sections 18 to 23. */

export interface GifFrame {
  /** pixels of the screen that the frame covers */
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  /** RGB of what the frame leaves open: the palette's colour of the transparent index, or of index 0 */
  readonly open: readonly number[];
}

/** @throws Error when there is no palette, RangeError when the file ends before its first frame */
export function firstGifFrame(bytes: Uint8Array): GifFrame {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tableBytes = (flags: number): number => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const flags = file.readUInt8(10);
  let at = 13 + tableBytes(flags),
    transparent = 0;
  while (file.readUInt8(at) === 0x21) {
    const graphicControl = file.readUInt8(at + 1) === 0xf9;
    if (graphicControl && file.readUInt8(at + 3) & 1) transparent = file.readUInt8(at + 6);
    at += 2;
    for (let size = file.readUInt8(at++); size > 0; size = file.readUInt8(at++)) at += size;
  }
  const own = tableBytes(file.readUInt8(at + 9)),
    table = own > 0 ? at + 10 : 13,
    size = own || tableBytes(flags);
  if (size === 0) throw new Error('a GIF without a palette, which is not read');
  return {
    left: file.readUInt16LE(at + 1),
    top: file.readUInt16LE(at + 3),
    width: file.readUInt16LE(at + 5),
    height: file.readUInt16LE(at + 7),
    open: [0, 1, 2].map((c) => (transparent * 3 < size ? file.readUInt8(table + transparent * 3 + c) : 0)),
  };
}
