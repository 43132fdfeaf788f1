/** What there is in toyland, and the words for it. */
export const SUBJECTS = [
  'dog',
  'cat',
  'car',
  'cup',
  'house',
  'robot',
  'fish',
  'tree',
  'bird',
  'flower',
  'boat',
  'person',
] as const;
export const COLOURS = ['red', 'orange', 'yellow', 'green', 'blue', 'purple', 'pink', 'white'] as const;
export const SETTINGS = [
  'on grass',
  'in a bucket',
  'at the beach',
  'in the snow',
  'at night',
  'in the city',
  'in the desert',
  'under water',
  'in a room',
  'in the forest',
] as const;
/** '' is plain, and has no word. */
export const PATTERNS = ['', 'striped', 'spotted'] as const;
/** '' is none, and has no word. */
export const ACCESSORIES = ['', 'with a hat', 'with a bow'] as const;
export const SIZES = ['small', '', 'big'] as const;

export type Subject = (typeof SUBJECTS)[number];
export type Colour = (typeof COLOURS)[number];
export type Setting = (typeof SETTINGS)[number];
export type Pattern = (typeof PATTERNS)[number];
export type Accessory = (typeof ACCESSORIES)[number];
export type Size = (typeof SIZES)[number];

/** Fill of a subject, sRGB. */
export const HEX: Readonly<Record<Colour, string>> = {
  red: '#e03028',
  orange: '#f58a1f',
  yellow: '#f7d524',
  green: '#35a846',
  blue: '#2f62e0',
  purple: '#8e3fc4',
  pink: '#f58ab8',
  white: '#f6f6f2',
};

/** Beginnings of captions, and how often each is used of 8. */
export const OPENINGS = [
  ['a photo of', 4],
  ['a picture of', 2],
  ['', 2],
] as const;

/** Every word of every caption and of the DreamBooth prompts, sorted. */
export const VOCABULARY: readonly string[] = [
  ...new Set(
    [
      ...[SUBJECTS, COLOURS, SETTINGS, PATTERNS, ACCESSORIES, SIZES].flat(),
      ...OPENINGS.map(([words]) => words),
      'an',
      'sks',
      'face',
      'animal',
      'toy',
      'and',
      'the',
    ]
      .flatMap((phrase) => phrase.split(' '))
      .filter((word) => word !== ''),
  ),
].sort();
