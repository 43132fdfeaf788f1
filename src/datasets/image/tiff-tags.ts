/** The tags of a TIFF, which EXIF is too. */

/** 1 to 8: how the camera was held. */
export const ORIENTATION = 274;
const [BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, SAMPLES_PER_PIXEL, SAMPLE_FORMAT] = [258, 259, 262, 277, 339];
const JPEG = 7;
/** PhotometricInterpretation (TIFF 6.0; TIFF/EP for 32803 and 34892). */
const COLOURS: Readonly<Record<number, string>> = {
  4: 'a transparency mask',
  8: 'CIE LAB colours',
  9: 'ICC LAB colours',
  10: 'ITU LAB colours',
  32803: 'raw data of a camera',
  32844: 'LogL',
  32845: 'LogLuv colours',
  34892: 'raw data of a camera',
};

/**
 * libvips takes some kinds of colour for others without a word.
 * @returns what in the first picture of a TIFF would be read wrongly, or undefined
 */
export function unreadableTiff(bytes: Uint8Array): string | undefined {
  const tags = tiffTags(bytes);
  const photometric = tags.get(PHOTOMETRIC) ?? 1,
    format = tags.get(SAMPLE_FORMAT) ?? 1;
  if (photometric in COLOURS) return COLOURS[photometric];
  if (photometric === 6 && tags.get(COMPRESSION) !== JPEG) return 'YCbCr colours outside JPEG compression';
  if (format === 2 && (tags.get(BITS_PER_SAMPLE) ?? 1) < 32) return 'signed samples of 8 or 16 bits';
  if (format > 4) return 'complex samples';
  if (format === 3 && (tags.get(SAMPLES_PER_PIXEL) ?? 1) > 1) return 'colours as floats';
  return undefined;
}

/** Tag to its first value, for those of the first picture that hold shorts; fewer when the file is cut. */
export function tiffTags(bytes: Uint8Array): Map<number, number> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    little = file[0] === 0x49,
    big = (file[2] | file[3]) === 43; // BigTIFF: 8-byte offsets
  const short = (at: number): number => (little ? file.readUInt16LE(at) : file.readUInt16BE(at));
  const long = (at: number): number => (little ? file.readUInt32LE(at) : file.readUInt32BE(at));
  const offset = (at: number): number =>
    big ? Number(little ? file.readBigUInt64LE(at) : file.readBigUInt64BE(at)) : long(at);
  const tags = new Map<number, number>();
  try {
    const start = offset(big ? 8 : 4),
      count = big ? offset(start) : short(start),
      size = big ? 20 : 12;
    for (let i = 0, at = start + (big ? 8 : 2); i < count; i++, at += size) {
      const values = big ? offset(at + 4) : long(at + 4),
        inline = at + (big ? 12 : 8);
      if (short(at + 2) === 3) tags.set(short(at), short(values * 2 <= (big ? 8 : 4) ? inline : offset(inline)));
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return tags;
}
