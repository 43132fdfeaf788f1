/** Subjects by name, and what they wear. */
import { bird, cat, dog, fish } from './draw-animals.js';
import { flower, person, tree } from './draw-living.js';
import { boat, car, cup, house, robot } from './draw-things.js';
import type { Anchor, Drawing } from './subject.js';
import { INK, LINE, n, path, rect } from './svg.js';
import type { Accessory, Subject } from './world.js';

export const DRAWINGS: Readonly<Record<Subject, Drawing>> = { dog, cat, car, cup, house, robot, fish, tree, bird, flower, boat, person };

const WORN: Readonly<Record<Accessory, (drawing: Drawing) => string>> = {
  none: () => '',
  'with a hat': ({ top }) => hat(top),
  'with a scarf': ({ neck }) => scarf(neck),
  'with a bow': ({ top }) => bow(top),
  'with sunglasses': ({ eyes }) => sunglasses(eyes),
};

export const accessory = (drawing: Drawing, worn: Accessory): string => WORN[worn](drawing);

const at = ({ x, y }: Anchor, scale: number, content: string): string => `<g transform="translate(${x} ${y}) scale(${n(scale)})">${content}</g>`;

/** A black top hat with a white band; 40 wide at scale 1. */
const hat = (top: Anchor): string => at(top, Math.max(top.width / 30, 0.9), `
  ${rect(-13, -25, 26, 25, '#2c2b36', 2)}<rect x="-11.5" y="-11" width="23" height="7" fill="#fff"/>${rect(-21, -4, 42, 6, '#2c2b36', 3)}`);

/** A crimson band with a hanging end. */
function scarf({ x, y, width }: Anchor): string {
  const half = Math.max(width / 2 + 2, 12), hang = n(x + half * 0.3);
  return `${rect(hang, y, 10, 19, '#ff2d6f', 2)}<rect x="${hang + 1.5}" y="${n(y + 9)}" width="7" height="4" fill="#fff"/>${rect(n(x - half), y - 5, 2 * half, 10, '#ff2d6f', 5)}`;
}

/** A pink ribbon with two loops. */
const bow = (top: Anchor): string => at(top, Math.max(top.width / 28, 0.95), `
  ${path('M0 -3 L-19 -14 Q-22 -3 -19 8 Z', '#ff6ec7')}${path('M0 -3 L19 -14 Q22 -3 19 8 Z', '#ff6ec7')}<circle cx="0" cy="-3" r="5" fill="#ff6ec7" ${LINE}/>`);

/** Two black lenses with a glint; 32 wide at scale 1. */
const sunglasses = (eyes: Anchor): string => at(eyes, Math.max(eyes.width / 30, 0.9), `
  <path d="M-17 -5 H17 Q18 7 9 7 Q2 7 1 -1 H-1 Q-2 7 -9 7 Q-18 7 -17 -5 Z" fill="${INK}" stroke="${INK}" stroke-width="2.5" stroke-linejoin="round"/>
  <path d="M-13 3 L-8 -3 M6 3 L11 -3" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>`);
