/** A small grammar: "a photo of a small striped red dog facing left with a hat in the snow". */
import type { RandomStream } from '../../random/rng.js';
import type { Scene } from './scene.js';
import { ACCESSORIES, COLOURS, FACINGS, PATTERNS, SETTINGS, SIDED, SIZES, SUBJECTS } from './world.js';

/** How a caption begins and how often. The empty one gives "a red dog in the snow". */
const OPENINGS: readonly (readonly [string, number])[] = [['a photo of', 0.65], ['a picture of', 0.15], ['a drawing of', 0.1], ['', 0.1]];

/** What a caption may say about a scene, besides its subject. */
interface Said {
  readonly opening: string;
  readonly colour: boolean;
  readonly look: boolean;
  readonly setting: boolean;
  readonly size: boolean;
  readonly facing: boolean;
}

/** The caption that names all that matters and leaves out size and direction: what evaluation asks for. */
export function prompt(scene: Scene): string {
  return sentence(scene, { opening: 'a photo of', colour: true, look: true, setting: true, size: false, facing: false });
}

/**
 * A training caption. Most name the colour, the setting and, where there are any, pattern and accessory; one in eight
 * leaves some of them out, so that "a photo of a dog" and "a dog in a bucket" are no news to the model.
 */
export function caption(scene: Scene, stream: RandomStream): string {
  const opening = pickOpening(stream.uniform());
  const partial = stream.uniform() < 1 / 8;
  const keep = (): boolean => stream.uniform() < 0.4 || !partial;
  return sentence(scene, {
    opening, colour: keep(), look: keep(), setting: keep(),
    size: !partial && stream.uniform() < 0.5, facing: !partial && stream.uniform() < 0.3,
  });
}

function pickOpening(chance: number): string {
  let below = 0;
  for (const [opening, share] of OPENINGS) if (chance < (below += share)) return opening;
  return '';
}

function sentence(scene: Scene, said: Said): string {
  const named = [
    said.size && scene.size !== 'medium' && scene.size,
    said.look && scene.pattern !== 'plain' && scene.pattern,
    said.colour && scene.colour,
    scene.subject,
    said.facing && SIDED.has(scene.subject) && `facing ${scene.facing}`,
    said.look && scene.accessory !== 'none' && scene.accessory,
    said.setting && scene.setting,
  ].filter((part) => part !== false).join(' ');
  return `${said.opening} ${/^[aeiou]/.test(named) ? 'an' : 'a'} ${named}`.trim();
}

/** Words of toyland's prompts that no caption has: DreamBooth's rare words, its faces, and small words around them. */
const MORE_WORDS = ['sks', 'face', 'the', 'of', 'and', 'with', 'in', 'on', 'at', 'wearing', 'two', 'toy', 'painting', 'image', 'man', 'woman'];

/** Every word that a caption or a prompt of the configs can have; lower case, sorted, each once. */
export const VOCABULARY: readonly string[] = [...new Set(
  [
    'a', 'an', 'facing', ...MORE_WORDS, ...OPENINGS.map(([opening]) => opening), ...SUBJECTS, ...COLOURS, ...SETTINGS,
    ...PATTERNS.slice(1), ...ACCESSORIES.slice(1), ...SIZES, ...FACINGS,
  ].flatMap((phrase) => phrase.split(' ')).filter((word) => word !== ''),
)].sort();
