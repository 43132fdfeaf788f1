/** Text of files that people and other programs made. */
import { isUtf8 } from 'node:buffer';
import { UserError } from './errors.js';
import { refuseLfsPointer } from './lfs-pointer.js';

/** Byte-order marks; the longer ones first, since UTF-32's begins like UTF-16's. */
const MARKS = [
  { mark: [0xff, 0xfe, 0, 0], encoding: 'UTF-32' },
  { mark: [0, 0, 0xfe, 0xff], encoding: 'UTF-32' },
  { mark: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { mark: [0xff, 0xfe], encoding: 'utf-16le' },
  { mark: [0xfe, 0xff], encoding: 'utf-16be' },
];

/**
 * Decodes UTF-8, with or without a byte-order mark, and UTF-16 with one. Other encodings are not guessed: a wrong guess
 * would put wrong letters into captions.
 * @returns the text without the mark
 * @throws UserError naming the line, the byte and the likely encoding
 */
export function decodeText(bytes: Uint8Array, where: string): string {
  refuseLfsPointer(bytes, where, 'the text');
  const encoding = MARKS.find(({ mark }) => mark.every((byte, i) => bytes[i] === byte))?.encoding ?? 'utf-8';
  if (encoding === 'UTF-32') throw new UserError(`${where}: UTF-32, which is not read; save it as UTF-8`);
  if (encoding === 'utf-8') refuseOtherThanUtf8(bytes, where);
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UserError(
      `${where}: not whole ${encoding.toUpperCase()} text (${bytes.length} bytes); save it as UTF-8`,
      {
        cause: error,
      },
    );
  }
}

function refuseOtherThanUtf8(bytes: Uint8Array, where: string): void {
  const zero = bytes.indexOf(0);
  if (zero >= 0) {
    const looks = zero % 2 === 1 ? 'UTF-16 little-endian' : zero === 0 ? 'UTF-16 big-endian' : 'no text';
    throw new UserError(`${where}: a zero at byte ${zero}, ${looks} without a byte-order mark; save it as UTF-8`);
  }
  if (isUtf8(bytes)) return;
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const newline = bytes.indexOf(0x0a, start),
      end = newline < 0 ? bytes.length : newline + 1;
    if (!isUtf8(bytes.subarray(start, end))) throw otherEncoding(bytes.subarray(start, end), `${where} line ${line}`);
    start = end;
  }
}

/** A decoder that forgives writes U+FFFD for the first byte that is not UTF-8; what stands before it tells where that is. */
function otherEncoding(line: Uint8Array, where: string): UserError {
  const forgiven = new TextDecoder('utf-8', { ignoreBOM: true }).decode(line);
  let at = 0;
  for (let i = forgiven.indexOf('\uFFFD'); i >= 0; i = forgiven.indexOf('\uFFFD', i + 1)) {
    at = Buffer.byteLength(forgiven.slice(0, i));
    if (!Buffer.from(line.subarray(at, at + 3)).equals(REPLACEMENT)) break; // the text itself may hold U+FFFD
  }
  const byte = line[at],
    read = byte < 0xa0 ? WINDOWS_1252[byte - 0x80] : String.fromCharCode(byte);
  return new UserError(
    `${where}: not UTF-8: byte 0x${byte.toString(16).toUpperCase()}, which is "${read}" in Windows-1252 (latin-1); save it as UTF-8`,
  );
}

/** Bytes 0x80 to 0x9F, where Windows-1252 differs from latin-1; dots for the five it leaves out. Node 20 decodes them wrongly. */
const WINDOWS_1252 = '€.‚ƒ„…†‡ˆ‰Š‹Œ.Ž..‘’“”•–—˜™š›œ.žŸ';
const REPLACEMENT = Buffer.from('\uFFFD');
