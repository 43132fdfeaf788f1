/** What is in a picture: drawn by chance from (seed, index), except for the combinations that a split leaves out. */
import { Rng, type RandomStream } from '../../random/rng.js';
import { prompt } from './captions.js';
import {
  ACCESSORIES, COLOURS, FACINGS, PATTERNS, SETTINGS, SIZES, SUBJECTS,
  type Accessory, type Colour, type Facing, type Pattern, type Setting, type Size, type Subject,
} from './world.js';

export interface Scene {
  readonly subject: Subject;
  readonly colour: Colour;
  readonly pattern: Pattern;
  readonly accessory: Accessory;
  readonly setting: Setting;
  readonly facing: Facing;
  readonly size: Size;
}

/** Which combinations of subject, colour and setting may come: those for training, those held out, or both. */
export type Split = 'train' | 'held_out' | 'all';
export const SPLITS = ['train', 'held_out', 'all'] as const satisfies readonly Split[];

const HELD_OUT_OF = 10; // one triple in ten

/** True for a tenth of the (subject, colour, setting) triples, always the same. Every pair of the three is in the rest. */
export function isHeldOut({ subject, colour, setting }: Pick<Scene, 'subject' | 'colour' | 'setting'>): boolean {
  return new Rng(0).stream(`${subject}, ${colour}, ${setting}`).uniform() < 1 / HELD_OUT_OF;
}

/** @param index a whole number from 0 below 2^32; the same (seed, index, split) gives the same scene */
export function sceneAt(seed: number, index: number, split: Split = 'train'): Scene {
  const stream = new Rng(seed).stream('toyland scene', index);
  for (;;) {
    const scene = randomScene(stream);
    if (split === 'all' || isHeldOut(scene) === (split === 'held_out')) return scene;
  }
}

function randomScene(stream: RandomStream): Scene {
  const one = <T>(list: readonly T[]): T => list[stream.int(0, list.length)];
  return {
    subject: one(SUBJECTS), colour: one(COLOURS), setting: one(SETTINGS), facing: one(FACINGS),
    pattern: stream.uniform() < 0.6 ? 'plain' : one(PATTERNS.slice(1)),
    accessory: stream.uniform() < 0.5 ? 'none' : one(ACCESSORIES.slice(1)),
    size: stream.uniform() < 0.6 ? 'medium' : one(SIZES.filter((size) => size !== 'medium')),
  };
}

/** A full caption and what it describes. */
export interface Prompt { readonly prompt: string; readonly scene: Scene }

/** Prompts of held-out triples, all different, in an order by seed: bare ones first, then with a pattern, an accessory or both. */
export function heldOutPrompts(count: number, seed: number): Prompt[] {
  const stream = new Rng(seed).stream('toyland prompts');
  const triples = heldOutTriples();
  const looks = PATTERNS.flatMap((pattern) => ACCESSORIES.map((accessory) => ({ pattern, accessory }))).slice(1);
  if (count > triples.length * (looks.length + 1)) throw new RangeError(`held-out prompts: ${count} asked for, there are ${triples.length * (looks.length + 1)}`);
  const found: Prompt[] = [];
  const orders = triples.map(() => stream.permutation(looks.length));
  for (let round = 0; found.length < count; round++) {
    for (const i of stream.permutation(triples.length).slice(0, count - found.length)) {
      const look = round === 0 ? { pattern: 'plain', accessory: 'none' } as const : looks[orders[i][round - 1]];
      const scene: Scene = { ...triples[i], ...look, facing: FACINGS[stream.int(0, 2)], size: 'medium' };
      found.push({ prompt: prompt(scene), scene });
    }
  }
  return found;
}

function heldOutTriples(): Pick<Scene, 'subject' | 'colour' | 'setting'>[] {
  return SUBJECTS.flatMap((subject) => COLOURS.flatMap((colour) => SETTINGS.map((setting) => ({ subject, colour, setting })))).filter(isHeldOut);
}
