/** Height or width of a picture that is drawn, in pixels. The latents of each 8x8 pixels are one place. */
export const PICTURE_SIDE = { type: 'integer', minimum: 8, maximum: 16_384, multipleOf: 8 } as const;
