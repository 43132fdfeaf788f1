/** 16-bit floats as raw words. IEEE 754 binary16, and bfloat16 (the upper half of a float32). */
const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

export function bfloat16ToFloat(word: number): number {
  bits[0] = word << 16;
  return float[0];
}

/** Round to nearest, ties to even; NaN stays NaN. */
export function floatToBfloat16(value: number): number {
  float[0] = value;
  if (Number.isNaN(value)) return 0x7fc0;
  return ((bits[0] + 0x7fff + ((bits[0] >>> 16) & 1)) >>> 16) & 0xffff;
}

export function float16ToFloat(word: number): number {
  const sign = word & 0x8000 ? -1 : 1,
    exponent = (word >> 10) & 0x1f,
    fraction = word & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  bits[0] = ((word & 0x8000) << 16) | ((exponent + 112) << 23) | (fraction << 13);
  return float[0];
}

/** Round to nearest, ties to even; beyond 65504 becomes infinity. */
export function floatToFloat16(value: number): number {
  float[0] = value;
  const word = bits[0],
    sign = (word >>> 16) & 0x8000,
    magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and above round to infinity
  if (magnitude < 0x38800000) {
    // Below 2^-14 the spacing is 2^-24: adding 0.5 leaves the rounded fraction in the low bits of a float32.
    float[0] = Math.abs(float[0]) + 0.5;
    return sign | (bits[0] - 0x3f000000);
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** All float16 values, by word: a look-up is several times faster than taking a word apart. Made on first use, 256 kB. */
let halves: Float32Array | undefined;

/** Many float16 words at once. */
export function float16sToFloats(words: Uint16Array): Float32Array {
  const table = (halves ??= Float32Array.from({ length: 65536 }, (_, word) => float16ToFloat(word)));
  const out = new Float32Array(words.length);
  for (let i = 0; i < out.length; i++) out[i] = table[words[i]];
  return out;
}

/** Many bfloat16 words at once: each is the upper half of a float32. */
export function bfloat16sToFloats(words: Uint16Array): Float32Array {
  const out = new Float32Array(words.length),
    bits = new Uint32Array(out.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = words[i] << 16;
  return out;
}
