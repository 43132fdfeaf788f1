/**
 * All there is in toyland, by the words that captions use. A subject is one word, a setting one phrase; no phrase is
 * part of another, so a caption can be searched for them.
 */
export const SUBJECTS = ['dog', 'cat', 'car', 'cup', 'house', 'robot', 'fish', 'tree', 'bird', 'flower', 'boat', 'person'] as const;
export const COLOURS = ['red', 'orange', 'yellow', 'green', 'blue', 'purple', 'white', 'brown'] as const;
export const SETTINGS = ['on grass', 'in a bucket', 'at the beach', 'in the snow', 'at night', 'in the city', 'in the desert', 'under water', 'in a room'] as const;
export const PATTERNS = ['plain', 'striped', 'spotted'] as const;
export const ACCESSORIES = ['none', 'with a hat', 'with a scarf', 'with a bow', 'with sunglasses'] as const;
export const SIZES = ['small', 'medium', 'big'] as const;
export const FACINGS = ['left', 'right'] as const;

export type Subject = (typeof SUBJECTS)[number];
export type Colour = (typeof COLOURS)[number];
export type Setting = (typeof SETTINGS)[number];
/** 'plain' is not named in captions. */
export type Pattern = (typeof PATTERNS)[number];
/** 'none' is not named in captions. */
export type Accessory = (typeof ACCESSORIES)[number];
/** 'medium' is not named in captions. */
export type Size = (typeof SIZES)[number];
export type Facing = (typeof FACINGS)[number];

/** Subjects that have a front and a back, so that captions may say where they look. */
export const SIDED: ReadonlySet<Subject> = new Set(['dog', 'car', 'fish', 'bird', 'boat']);

/** Flat paints, far apart, that no setting uses over a large area. */
export const PAINT: Readonly<Record<Colour, string>> = {
  red: '#e01b24', orange: '#ff8210', yellow: '#ffe01a', green: '#159a3c',
  blue: '#1c5ce6', purple: '#8b2fc9', white: '#fbfbfb', brown: '#85491d',
};
