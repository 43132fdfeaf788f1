/** What a subject's drawing is given and gives. */

/** Paints of one subject; `fill` may be a pattern: url(#...). */
export interface Look {
  readonly fill: string;
  /** the colour itself, for lines */
  readonly plain: string;
  /** darker, for ears, wings and roofs */
  readonly shade: string;
  readonly skin: string;
  readonly hair: string;
}

/** Where an accessory goes: the middle, and the width of what it sits on. */
export interface Anchor { readonly x: number; readonly y: number; readonly width: number }

/** Origin between the feet, y downwards, about 75 units wide and 75 high, looking right. */
export interface Drawing {
  readonly draw: (look: Look) => string;
  /** the lower edge of a hat */
  readonly top: Anchor;
  /** between the eyes, or where they would be */
  readonly eyes: Anchor;
  readonly neck: Anchor;
  /** degrees it is turned by when it looks out of a bucket */
  readonly bucketTurn?: number;
  /** units it is lifted by in a bucket, for low subjects to look out */
  readonly bucketLift?: number;
}
