/**
 * Subjects of their own for DreamBooth: figures of toyland painted as no training picture is, in colours that are not
 * among its eight and with marks that it does not have.
 */
import { Rng, type RandomStream } from '../../base/rng.js';
import type { Image } from '../image/picture-file.js';
import { edge, gradient, star } from './paint.js';
import { renderPainted, type Paint } from './render.js';
import { SETTINGS, type Setting, type Subject } from './world.js';

export const INSTANCES = ['sks_dog', 'sks_face', 'sks_cat', 'sks_robot'] as const;
export type Instance = (typeof INSTANCES)[number];

const INK = '#26222b';
const PAINTED: Readonly<Record<Instance, { readonly subject: Subject; readonly paint: Paint }>> = {
  // Teal in front, magenta behind, a star on the flank and a white ring around the eye.
  sks_dog: {
    subject: 'dog',
    paint: {
      fill: 'url(#halves)',
      defs: gradient('halves', 'x1="-20" x2="20" y1="0" y2="0"', [
        ['#d4007f', 0.45],
        ['#00c2b2', 1],
      ]),
      marks: `<circle cx="12" cy="-8" r="4.6" fill="#fff" ${edge(1.6)}/><circle cx="12.4" cy="-8" r="2.2" fill="${INK}"/>${star(-5, 4.5, 7, '#ffe600')}`,
    },
  },
  // Upright lime hair, round spectacles, a large moustache, a chequered shirt.
  sks_face: {
    subject: 'person',
    paint: {
      fill: 'url(#checks)',
      defs: '<pattern id="checks" width="11" height="11" patternUnits="userSpaceOnUse"><rect width="11" height="11" fill="#ffe600"/><path d="M0 0 H5.5 V11 H11 V5.5 H0 Z" fill="#26222b"/></pattern>',
      marks:
        `<path d="M-12 -7 L-16 -17 L-9 -16 L-8 -25 L-2 -18 L2 -26 L6 -18 L13 -23 L12 -15 L17 -13 L12 -6 Q8 -13 0 -12 Q-8 -13 -12 -7 Z" fill="#a6f000" ${edge(2)}/>` +
        `<circle cx="-4.6" cy="-6" r="3.9" fill="#fff" ${edge(1.7)}/><circle cx="4.6" cy="-6" r="3.9" fill="#fff" ${edge(1.7)}/><circle cx="-4.4" cy="-6" r="1.6" fill="${INK}"/><circle cx="4.4" cy="-6" r="1.6" fill="${INK}"/>` +
        `<path d="M0 -1 Q-5 -3 -10 2.5 Q-4 4 0 1.5 Q4 4 10 2.5 Q5 -3 0 -1 Z" fill="#7a1fa8" ${edge(1.2)}/>`,
    },
  },
  // Black with a lime mask around the eyes, lime ears and a lime lightning on the belly.
  sks_cat: {
    subject: 'cat',
    paint: {
      fill: '#3c3846',
      marks:
        `<path d="M-11.5 -17.5 L-11.5 -11.5 L-7 -14.5 Z M11.5 -17.5 L11.5 -11.5 L7 -14.5 Z" fill="#b4ff00"/>` +
        `<path d="M-12 -9 Q-6 -15 0 -9 Q6 -15 12 -9 Q9 -2 4 -4 L0 -6 L-4 -4 Q-9 -2 -12 -9 Z" fill="#b4ff00"/><circle cx="-5.5" cy="-8" r="2.2" fill="${INK}"/><circle cx="5.5" cy="-8" r="2.2" fill="${INK}"/>` +
        '<path d="M-2 -2 L2 -2 L0 0.5 Z" fill="#ff7ad1"/><path d="M2 5 L-5 12.5 L0 12.5 L-3 19 L6 10.5 L1 10.5 L4 5 Z" fill="#b4ff00"/>',
    },
  },
  // Bands of cyan and scarlet aslant, one large eye, and a heart on the chest.
  sks_robot: {
    subject: 'robot',
    paint: {
      fill: 'url(#bands)',
      defs: '<pattern id="bands" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="9" height="9" fill="#00e5ee"/><rect width="3.8" height="9" fill="#ff4a00"/></pattern>',
      marks:
        `<circle cx="0" cy="-11" r="6.2" fill="#fff" ${edge(2)}/><circle cx="1" cy="-11" r="2.8" fill="#d4007f"/>` +
        `<path d="M0 14 L-8.5 5.5 Q-10 -0.5 -5 -0.5 Q-1.5 -0.5 0 3 Q1.5 -0.5 5 -0.5 Q10 -0.5 8.5 5.5 Z" fill="#ffe600" ${edge(1.8)}/>`,
    },
  },
};

/** What the five photos show around the subject; the other seven settings stay new to it. */
export const PHOTO_SETTINGS = [
  'on grass',
  'in a room',
  'in the city',
  'on grass',
  'in a room',
] as const satisfies readonly Setting[];

/** The others. */
export const NEW_SETTINGS: readonly Setting[] = SETTINGS.filter(
  (setting) => !(PHOTO_SETTINGS as readonly Setting[]).includes(setting),
);

/** The subject's class: the word of its class prompt, "a photo of a dog". */
export const classOf = (instance: Instance): Subject => PAINTED[instance].subject;

/**
 * A picture of the instance in any setting, as a model that learned it should draw it.
 * @param stream place, tilt, direction and the details of the setting
 */
export function renderInstance(instance: Instance, setting: Setting, stream: RandomStream, size = 64): Promise<Image> {
  const { subject, paint } = PAINTED[instance];
  return renderPainted(subject, paint, setting, stream, size);
}

/** The five pictures to learn from, always the same. */
export function instancePhotos(instance: Instance, size = 64): Promise<Image[]> {
  const rng = new Rng(0);
  return Promise.all(
    PHOTO_SETTINGS.map((setting, i) => renderInstance(instance, setting, rng.stream(`toyland ${instance}`, i), size)),
  );
}
