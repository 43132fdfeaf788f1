/**
 * The subjects as SVG, around (0, 0), within about 21 units, facing right. Large flat parts and thick outlines: an
 * autoencoder of 16x16 latents must keep them.
 */
import type { Subject } from './world.js';

const INK = '#26222b';
const OUTLINE = `stroke="${INK}" stroke-width="2" stroke-linejoin="round" stroke-linecap="round"`;
const eye = (x: number, y: number, r = 1.8): string => `<circle cx="${x}" cy="${y}" r="${r}" fill="${INK}"/>`;
const line = (d: string, width = 2): string =>
  `<path d="${d}" fill="none" stroke="${INK}" stroke-width="${width}" stroke-linecap="round"/>`;

export interface Figure {
  /** @param fill any SVG paint */
  readonly draw: (fill: string) => string;
  /** where a hat stands */
  readonly hat: readonly [number, number];
  /** where a bow is tied */
  readonly bow: readonly [number, number];
}

export const FIGURES: Readonly<Record<Subject, Figure>> = {
  dog: {
    hat: [11, -14],
    bow: [7, 2],
    draw: (fill) => `<g ${OUTLINE} fill="${fill}"><path d="M-15 -1 Q-22 -6 -20 -13" fill="none" stroke-width="4"/>
      <rect x="-15" y="7" width="6" height="13" rx="2"/><rect x="3" y="7" width="6" height="13" rx="2"/><ellipse cx="-3" cy="4" rx="14" ry="8.5"/>
      <circle cx="10" cy="-6" r="9"/><rect x="13" y="-6" width="9" height="8" rx="4"/><path d="M5 -13 Q-2 -12 0 1 Q6 2 7 -8 Z"/></g>
      ${eye(12, -8)}<circle cx="21" cy="-4" r="2.2" fill="${INK}"/>`,
  },
  cat: {
    hat: [0, -18],
    bow: [0, 5],
    draw: (
      fill,
    ) => `<g ${OUTLINE} fill="${fill}"><path d="M10 16 Q22 16 19 2" fill="none" stroke-width="4"/><path d="M-11 20 Q-13 2 0 2 Q13 2 11 20 Z"/>
      <path d="M-13 -8 L-13 -21 L-5 -16 L5 -16 L13 -21 L13 -8 Q12 4 0 4 Q-12 4 -13 -8 Z"/></g>${eye(-5, -8, 2)}${eye(5, -8, 2)}
      <path d="M-2 -3 L2 -3 L0 -0.5 Z" fill="${INK}"/>${line('M-9 -3 L-18 -5 M-9 -1 L-18 1 M9 -3 L18 -5 M9 -1 L18 1', 1.2)}`,
  },
  car: {
    hat: [-1, -10],
    bow: [19, 3],
    draw: (fill) => `<g ${OUTLINE}><path d="M-21 9 L-21 0 L-12 -1 L-7 -10 L7 -10 L13 -1 L21 1 L21 9 Z" fill="${fill}"/>
      <path d="M-8 -2 L-5 -7 L-1 -7 L-1 -2 Z M2 -2 L2 -7 L6 -7 L9 -2 Z" fill="#d9f1fa"/><circle cx="-11" cy="10" r="5.5" fill="#4a4a52"/><circle cx="11" cy="10" r="5.5" fill="#4a4a52"/></g>`,
  },
  cup: {
    hat: [-2, -12],
    bow: [-2, 2],
    draw: (
      fill,
    ) => `<g ${OUTLINE}><path d="M10 -5 Q22 -6 20 4 Q18 12 9 10" fill="none" stroke="${INK}" stroke-width="7"/><path d="M10 -5 Q22 -6 20 4 Q18 12 9 10" fill="none" stroke="#fff" stroke-width="3"/>
      <path d="M-16 -11 L-13 16 Q-12 19 -9 19 L5 19 Q8 19 9 16 L12 -11 Z" fill="${fill}"/><ellipse cx="-2" cy="-11" rx="14" ry="4.5" fill="#5c3a22"/></g>`,
  },
  house: {
    hat: [0, -21],
    bow: [0, -7],
    draw: (
      fill,
    ) => `<g ${OUTLINE}><rect x="-15" y="-5" width="30" height="24" fill="${fill}"/><path d="M-21 -4 L0 -21 L21 -4 Z" fill="#7d4a34"/>
      <rect x="-4" y="5" width="9" height="14" fill="#5c3a22"/><rect x="-12" y="2" width="6" height="6" fill="#d9f1fa"/><rect x="8" y="2" width="5" height="6" fill="#d9f1fa"/></g>`,
  },
  robot: {
    hat: [0, -19],
    bow: [0, 0],
    draw: (
      fill,
    ) => `<g ${OUTLINE} fill="${fill}"><rect x="-9" y="14" width="6" height="7"/><rect x="3" y="14" width="6" height="7"/><rect x="-19" y="0" width="6" height="13" rx="3"/><rect x="13" y="0" width="6" height="13" rx="3"/>
      <rect x="-13" y="-2" width="26" height="17" rx="2"/><rect x="-10" y="-18" width="20" height="14" rx="2"/><rect x="-7" y="-15" width="14" height="7" fill="#bff3ff"/></g>
      ${eye(-3.5, -11.5, 2)}${eye(3.5, -11.5, 2)}<circle cx="-5" cy="7" r="2.4" fill="#ffd83a" ${OUTLINE}/><circle cx="5" cy="7" r="2.4" fill="#e33" ${OUTLINE}/>`,
  },
  fish: {
    hat: [3, -11],
    bow: [-10, 0],
    draw: (
      fill,
    ) => `<g ${OUTLINE} fill="${fill}"><path d="M-9 0 L-22 -11 L-19 0 L-22 11 Z"/><path d="M-2 -10 L5 -17 L9 -9 Z"/><ellipse cx="4" cy="0" rx="17" ry="11.5"/><path d="M0 3 Q-2 9 -6 9 Q-3 4 -4 0 Z"/></g>
      <circle cx="13" cy="-3" r="3.4" fill="#fff" ${OUTLINE}/>${eye(14, -3, 1.6)}${line('M17 5 Q14 6 12 4', 1.5)}`,
  },
  tree: {
    hat: [0, -20],
    bow: [0, 7],
    draw: (fill) =>
      `<g ${OUTLINE}><path d="M-4 21 L-3 2 L3 2 L4 21 Z" fill="#7d4a34"/><path d="M-9 8 Q-21 7 -19 -4 Q-20 -14 -9 -14 Q-4 -23 5 -18 Q17 -18 17 -7 Q22 3 12 8 Z" fill="${fill}"/></g>`,
  },
  bird: {
    hat: [8, -16],
    bow: [6, 0],
    draw: (
      fill,
    ) => `<g ${OUTLINE}>${line('M-2 12 L-3 20 M5 12 L6 20')}<path d="M16 -9 L23 -6 L16 -3 Z" fill="#f7a823"/><path d="M-12 4 L-23 -2 L-21 9 Z" fill="${fill}"/>
      <path d="M-14 4 Q-12 14 2 14 Q15 13 14 -2 L16 -8 Q14 -17 7 -16 Q0 -15 0 -6 Q-12 -6 -14 4 Z" fill="${fill}"/><path d="M-9 3 Q-2 -2 4 4 Q0 10 -7 9 Z" fill="#fff"/></g>${eye(9, -9, 2)}`,
  },
  flower: {
    hat: [0, -20],
    bow: [0, 9],
    draw: (fill) => {
      const petals = [0, 60, 120, 180, 240, 300]
        .map((a) => `<ellipse cx="0" cy="-9.5" rx="5.5" ry="7" transform="rotate(${a})"/>`)
        .join('');
      return `<g ${OUTLINE}>${line('M0 0 L0 21', 3.5)}<path d="M0 17 Q-12 16 -13 8 Q-3 7 0 17 Z M0 17 Q12 16 13 8 Q3 7 0 17 Z" fill="#2f8f3d"/><g transform="translate(0 -6)" fill="${fill}">${petals}<circle r="5" fill="#ffd83a"/></g></g>`;
    },
  },
  boat: {
    hat: [1, -21],
    bow: [-13, 9],
    draw: (fill) =>
      `<g ${OUTLINE}>${line('M1 6 L1 -20', 2.5)}<path d="M3 -19 L19 3 L3 3 Z" fill="#fff"/><path d="M-1 -14 L-14 3 L-1 3 Z" fill="#fff"/><path d="M-22 6 L22 6 Q18 18 11 18 L-11 18 Q-18 18 -22 6 Z" fill="${fill}"/></g>`,
  },
  person: {
    hat: [0, -18],
    bow: [0, 5],
    draw: (
      fill,
    ) => `<g ${OUTLINE}><path d="M-18 21 Q-18 5 -7 4 L7 4 Q18 5 18 21 Z" fill="${fill}"/><circle cx="0" cy="-6" r="11" fill="#f2c79a"/>
      <path d="M-11 -7 Q-13 -19 0 -19 Q13 -19 11 -7 Q7 -13 0 -12 Q-7 -13 -11 -7 Z" fill="#5c3a22"/></g>${eye(-4, -6)}${eye(4, -6)}${line('M-4 0 Q0 3 4 0', 1.6)}`,
  },
};

/** The accessories, with their lower end at (0, 0). */
export const hat = `<g ${OUTLINE}><path d="M-8 1 L8 1" stroke-width="4"/><path d="M-5 0 L-5 -10 L5 -10 L5 0 Z" fill="#3a3550"/><path d="M-5 -2.5 L5 -2.5" stroke="#ffd83a" stroke-width="2.4"/></g>`;
export const bow = `<g ${OUTLINE} fill="#ff3d9a"><path d="M0 0 L-8 -5 L-8 5 Z"/><path d="M0 0 L8 -5 L8 5 Z"/><circle r="2.4"/></g>`;
