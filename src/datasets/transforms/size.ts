import { PICTURE_SIDE } from '../../registry/picture-side.js';

const SIDE = { type: 'integer', minimum: 1, maximum: PICTURE_SIDE.maximum } as const;

/** The `size` option that crops share: a side of a square, or [height, width]. */
export const sizeOption = {
  oneOf: [SIDE, { type: 'array', items: SIDE, minItems: 2, maxItems: 2 }],
} as const;

/** @returns [height, width] */
export function heightWidth(size: number | readonly number[]): [number, number] {
  return typeof size === 'number' ? [size, size] : [size[0], size[1]];
}
