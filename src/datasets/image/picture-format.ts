/** What a picture's file is, by its first bytes: names lie. */

/** A kind of file, and whether pictures are read from it. */
export interface PictureFormat {
  readonly name: string;
  readonly read: boolean;
}

const read = (name: string, start: RegExp) => ({ name, start, read: true });
const refused = (name: string, start: RegExp) => ({ name, start, read: false });

/** The first that fits counts. Matched against the first bytes as latin-1. */
const FORMATS: readonly (PictureFormat & { readonly start: RegExp })[] = [
  read('JPEG', /^\xff\xd8\xff/),
  read('PNG', /^\x89PNG\r\n\x1a\n/),
  read('GIF', /^GIF8[79]a/),
  read('WebP', /^RIFF....WEBP/s),
  read('BMP', /^BM/),
  refused('a raw camera file (CR2)', /^II\*\0.{4}CR/s),
  read('TIFF', /^(II[*+]\0|MM\0[*+])/),
  refused('an animated AVIF', /^....ftypavis/s),
  read('AVIF', /^....ftyp.*avif/s),
  refused('HEIC, the format of iPhones', /^....ftyp.*(hei[cxms]|hev[cx])/s),
  refused('HEIF', /^....ftyp(mif1|msf1)/s),
  refused('a raw camera file (CR3)', /^....ftypcrx /s),
  refused('a film', /^(....ftyp|\x1aE\xdf\xa3|RIFF....AVI )/s),
  refused('JPEG XL', /^(\xff\x0a|\0\0\0\x0cJXL )/),
  refused('JPEG 2000', /^(\0\0\0\x0cjP {2}|\xff\x4f\xff\x51)/),
  refused('SVG', /^(\xef\xbb\xbf)?\s*<(svg|(\?xml|!--|!DOCTYPE svg)[^]*<svg)[\s>]/),
  refused('a web page (HTML)', /^\s*<(!doctype html|html|head|body)/i),
  refused('a Photoshop file (PSD)', /^8BPS/),
  refused('PNM (PBM, PGM, PPM, PFM)', /^P[1-7fF]\s/),
  refused('ICO', /^\0\0[\x01\x02]\0[^\0]\0/),
  refused('ICNS', /^icns/),
  refused('QOI', /^qoif/),
  refused('DDS', /^DDS /),
  refused('OpenEXR', /^\x76\x2f\x31\x01/),
  refused('Radiance HDR', /^#\?RADIANCE/),
  refused('SGI', /^\x01\xda[\0\x01][\x01\x02]/),
  refused('PCX', /^\x0a[\0\x02-\x05]\x01/),
  refused('PDF', /^%PDF/),
  refused('PostScript', /^%!PS/),
  refused('an X bitmap', /^#define \w+_width/),
  refused('a zip archive', /^PK\x03\x04/),
  refused('TGA', /^[^](\0[\x02\x03\x0a\x0b]\0{5}|\x01[\x01\x09]\0\0)/), // has no mark of its own
];

/** @returns undefined for bytes that are none of the known kinds */
export function pictureFormat(bytes: Uint8Array): PictureFormat | undefined {
  const start = Buffer.from(bytes.subarray(0, 512)).toString('latin1');
  const brands = start.startsWith('ftyp', 4) ? start.slice(0, Math.max(16, Buffer.from(bytes).readUInt32BE(0))) : start;
  return FORMATS.find((format) => format.start.test(brands));
}

const READ = /\.(png|jpe|jpe?g|jfif|webp|gif|bmp|tiff?|avif)$/i;
const OTHER =
  /\.(heic|heif|hif|jxl|jp2|j2k|jpx|jpf|svg|psd|ico|icns|tga|pbm|pgm|ppm|pnm|pfm|qoi|dds|exr|hdr|pcx|sgi|eps|dng|cr2|cr3|nef|arw|orf|rw2|raf|raw)$/i;

/** The file names that count as pictures in a folder. */
export const isImageName = (name: string): boolean => READ.test(name) && !name.startsWith('.');

/** File names of pictures that are not read. */
export const isOtherImageName = (name: string): boolean => OTHER.test(name);
