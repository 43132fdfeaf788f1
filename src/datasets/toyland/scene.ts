/** What is in a picture, drawn by lot, and its caption. */
import type { RandomStream, Rng } from '../../base/rng.js';
import {
  ACCESSORIES,
  COLOURS,
  OPENINGS,
  PATTERNS,
  SETTINGS,
  SIZES,
  SUBJECTS,
  type Accessory,
  type Colour,
  type Pattern,
  type Setting,
  type Size,
  type Subject,
} from './world.js';

export interface Scene {
  readonly subject: Subject;
  readonly colour: Colour;
  readonly setting: Setting;
  readonly pattern: Pattern;
  readonly accessory: Accessory;
  readonly size: Size;
}

/** `train` has no held-out combination, `held_out` nothing else. */
export type Split = 'train' | 'held_out' | 'all';

/**
 * A tenth of the triples subject, colour, setting: one setting of each pair of subject and colour. So training sees every
 * pair of two of them.
 */
export function isHeldOut({ subject, colour, setting }: Pick<Scene, 'subject' | 'colour' | 'setting'>): boolean {
  return (
    (SUBJECTS.indexOf(subject) + 3 * COLOURS.indexOf(colour) + 7 * SETTINGS.indexOf(setting)) % SETTINGS.length === 0
  );
}

/** Whether the split has anything of the choice. */
export const hasScenes = (split: Split, { subjects, settings }: Choice): boolean =>
  split === 'all' ||
  subjects.some((subject) =>
    settings.some((setting) =>
      COLOURS.some((colour) => isHeldOut({ subject, colour, setting }) === (split === 'held_out')),
    ),
  );

const pick = <T>(list: readonly T[], stream: RandomStream): T => list[stream.int(0, list.length)];

/** What there may be. */
export interface Choice {
  readonly subjects: readonly Subject[];
  readonly settings: readonly Setting[];
}
export const ALL: Choice = { subjects: SUBJECTS, settings: SETTINGS };

/** The scene of one picture; depends on (seed, index) and what there may be only. */
export function sceneAt(rng: Rng, index: number, split: Split, { subjects, settings } = ALL): Scene {
  const stream = rng.stream('toyland scene', index);
  for (;;) {
    const scene: Scene = {
      subject: pick(subjects, stream),
      colour: pick(COLOURS, stream),
      setting: pick(settings, stream),
      pattern: stream.uniform() < 0.6 ? '' : pick(PATTERNS.slice(1), stream),
      accessory: stream.uniform() < 0.6 ? '' : pick(ACCESSORIES.slice(1), stream),
      size: stream.uniform() < 0.6 ? '' : pick([SIZES[0], SIZES[2]], stream),
    };
    if (split === 'all' || isHeldOut(scene) === (split === 'held_out')) return scene;
  }
}

/**
 * One of `alike` pictures in a row that differ in their subject alone; depends on (seed, index) only.
 * @param alike 2 to 10; so many of the twelve subjects are in the split `train` of any colour and setting
 */
export function alikeSceneAt(rng: Rng, index: number, split: Exclude<Split, 'held_out'>, alike: number): Scene {
  const group = Math.floor(index / alike),
    scene = sceneAt(rng, group, 'all');
  const order = rng.stream('toyland alike', group).permutation(SUBJECTS.length);
  const scenes = order.map((i): Scene => ({ ...scene, subject: SUBJECTS[i] }));
  return scenes.filter((one) => split === 'all' || !isHeldOut(one))[index % alike];
}

/** One of `sightings` pictures in a row that show one subject in settings of their own; depends on (seed, index) only. */
export function sightingAt(
  rng: Rng,
  index: number,
  sightings: number,
  { subjects, settings } = ALL,
): Pick<Scene, 'subject' | 'setting'> {
  const group = Math.floor(index / sightings),
    stream = rng.stream('toyland sighting', group);
  const subject = pick(subjects, stream);
  return { subject, setting: settings[stream.permutation(settings.length)[index % sightings]] };
}

const article = (words: string): string => `${/^[aeiou]/.test(words) ? 'an' : 'a'} ${words}`;
const join = (...parts: readonly string[]): string => parts.filter((part) => part !== '').join(' ');

/** All that can be said of a scene, such as "a photo of a small striped red dog with a hat in the snow". */
export const fullCaption = (scene: Scene, opening: string = OPENINGS[0][0]): string =>
  join(opening, article(join(scene.size, scene.pattern, scene.colour, scene.subject)), scene.accessory, scene.setting);

/**
 * The caption of a training picture. Seven of eight say everything but the size, which half of them leave out; one of eight
 * leaves out more, so that "a photo of a dog" is a caption, too.
 */
export function captionOf(scene: Scene, stream: RandomStream): string {
  let lot = stream.int(0, 8);
  const opening = OPENINGS.find(([, share]) => (lot -= share) < 0)?.[0] ?? '';
  const size = stream.uniform() < 0.5 ? scene.size : '';
  if (stream.uniform() >= 1 / 8) return fullCaption({ ...scene, size }, opening);
  const keep = (): boolean => stream.uniform() < 0.5;
  const adjectives = join(keep() ? scene.pattern : '', keep() ? scene.colour : '');
  return join(
    opening,
    article(join(adjectives, scene.subject)),
    keep() ? scene.accessory : '',
    keep() ? scene.setting : '',
  );
}
