import type { Drawing } from './subject.js';
import { INK, circle, dot, ellipse, path, rect, stroke, tube } from './svg.js';

const CROWN = [[-20, -38, 17], [20, -38, 17], [-11, -58, 17], [12, -58, 17], [0, -42, 20]];
const TRUNK = '#7a4a22';

/** A trunk and a round crown. */
export const tree: Drawing = {
  top: { x: 0, y: -72, width: 32 }, eyes: { x: 0, y: -49, width: 38 }, neck: { x: 0, y: -17, width: 17 },
  draw: ({ fill }) => `
    ${path('M-7 0 V-26 H7 V0 Z', TRUNK)}
    ${CROWN.map(([x, y, r]) => circle(x, y, r, fill)).join('')}
    ${CROWN.map(([x, y, r]) => `<circle cx="${x}" cy="${y}" r="${r - 1.5}" fill="${fill}"/>`).join('')}`,
};

/** Six petals around a pale middle, on a stem with two leaves. */
export const flower: Drawing = {
  top: { x: 0, y: -72, width: 28 }, eyes: { x: 0, y: -54, width: 32 }, neck: { x: 0, y: -24, width: 15 },
  draw: ({ fill }) => `
    ${tube('M0 -36 V-2', '#3fae2a', 4)}
    ${path('M0 -6 C-8 -26 -24 -24 -30 -18 C-24 -6 -10 -2 0 -6 Z', '#3fae2a')}${path('M0 -6 C8 -26 24 -24 30 -18 C24 -6 10 -2 0 -6 Z', '#3fae2a')}
    ${[0, 60, 120, 180, 240, 300].map((turn) => `<g transform="rotate(${turn} 0 -53)">${ellipse(0, -71, 11, 13, fill)}</g>`).join('')}
    ${circle(0, -53, 9.5, '#fff0b8')}`,
};

/** From the front: large head, coloured clothes. */
export const person: Drawing = {
  top: { x: 0, y: -73, width: 32 }, eyes: { x: 0, y: -60, width: 30 }, neck: { x: 0, y: -43, width: 26 },
  draw: ({ fill, plain, skin, hair }) => `
    ${rect(-13, -18, 11, 18, '#3b4a63', 2)}${rect(2, -18, 11, 18, '#3b4a63', 2)}
    ${tube('M-16 -36 L-27 -20', plain, 7)}${tube('M16 -36 L27 -20', plain, 7)}${circle(-28, -18, 4.5, skin)}${circle(28, -18, 4.5, skin)}
    ${path('M-17 -44 H17 L21 -13 H-21 Z', fill)}
    ${circle(0, -61, 19, skin)}
    ${path('M-20 -58 C-22 -84 22 -84 20 -58 C14 -62 12 -68 8 -70 C0 -66 -12 -66 -20 -58 Z', hair)}
    ${dot(-7, -59, 2.8, INK)}${dot(7, -59, 2.8, INK)}${stroke('M-6 -51 Q0 -46 6 -51', INK, 2.6)}`,
};
