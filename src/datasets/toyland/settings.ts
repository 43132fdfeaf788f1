/** The settings as SVG of 64x64: what is behind the subject, and what is before it. Details vary by lot. */
import type { RandomStream } from '../../base/rng.js';
import type { Setting } from './world.js';

export interface Backdrop {
  readonly behind: string;
  readonly before?: string;
  /** shifts the subject, in units */
  readonly dy?: number;
}

const rect = (y: number, height: number, fill: string): string =>
  `<rect x="-1" y="${y}" width="66" height="${height}" fill="${fill}"/>`;
const between = (stream: RandomStream, low: number, high: number): number => low + (high - low) * stream.uniform();
const many = (count: number, one: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => one(i)).join('');
const cloud = (x: number, y: number): string =>
  `<g fill="#fff"><ellipse cx="${x}" cy="${y}" rx="7" ry="3.5"/><ellipse cx="${x + 4}" cy="${y - 2.5}" rx="4.5" ry="3"/></g>`;

export const BACKDROPS: Readonly<Record<Setting, (stream: RandomStream) => Backdrop>> = {
  'on grass': (s) => {
    const x = between(s, 8, 50),
      horizon = between(s, 34, 40);
    return {
      behind:
        rect(-1, 66, '#9fdcf7') +
        cloud(x, between(s, 6, 12)) +
        rect(horizon, 34, '#62c044') +
        many(9, () => `<path d="M${between(s, 0, 64)} ${between(s, 46, 63)} l2 -5 l2 5 Z" fill="#3f9330"/>`),
    };
  },
  'in a bucket': (s) => {
    const w = between(s, 22, 25);
    return {
      dy: -7,
      behind:
        rect(-1, 66, '#e6d5b8') +
        rect(52, 14, '#b98d5f') +
        `<ellipse cx="32" cy="38" rx="${w}" ry="5" fill="#5b6470" stroke="#26222b" stroke-width="2"/>`,
      before: `<path d="M${32 - w} 38 Q32 46 ${32 + w} 38 L${29 + w - 4} 62 L${35 - w + 4} 62 Z" fill="#aeb8c2" stroke="#26222b" stroke-width="2"/><path d="M${34 - w} 47 Q32 54 ${30 + w} 47" fill="none" stroke="#7d8894" stroke-width="2.5"/>`,
    };
  },
  'at the beach': (s) => {
    const sea = between(s, 18, 23),
      sand = between(s, 36, 41);
    return {
      behind:
        rect(-1, 66, '#bdeaff') +
        `<circle cx="${between(s, 8, 56)}" cy="8" r="6" fill="#ffe14a"/>` +
        rect(sea, 30, '#1d8fd1') +
        many(
          5,
          () =>
            `<path d="M${between(s, 0, 56)} ${between(s, sea + 3, sand - 3)} q3 -2 6 0" fill="none" stroke="#fff" stroke-width="1.3"/>`,
        ) +
        rect(sand, 40, '#f3d998'),
    };
  },
  'in the snow': (s) => ({
    behind:
      rect(-1, 66, '#c3d3e6') +
      `<path d="M-1 ${between(s, 36, 42)} Q16 ${between(s, 28, 36)} 34 ${between(s, 36, 42)} T65 38 L65 65 L-1 65 Z" fill="#ffffff"/>`,
    before: many(13, () => `<circle cx="${between(s, 1, 63)}" cy="${between(s, 1, 63)}" r="1.5" fill="#fff"/>`),
  }),
  'at night': (s) => {
    const x = between(s, 9, 55);
    return {
      behind:
        rect(-1, 66, '#131b45') +
        many(9, () => `<circle cx="${between(s, 1, 63)}" cy="${between(s, 1, 34)}" r="1.1" fill="#fff"/>`) +
        `<circle cx="${x}" cy="10" r="6.5" fill="#fff6c4"/><circle cx="${x + 3}" cy="8.5" r="5" fill="#131b45"/>` +
        rect(between(s, 46, 50), 20, '#26304f'),
    };
  },
  'in the city': (s) => {
    let x = -2;
    const towers = many(6, () => {
      const width = between(s, 9, 14),
        top = between(s, 5, 22),
        at = x;
      x += width + 1;
      return `<rect x="${at}" y="${top}" width="${width}" height="44" fill="#8b93a3"/><rect x="${at + 2.5}" y="${top + 4}" width="2.5" height="3" fill="#ffe98a"/><rect x="${at + 2.5}" y="${top + 11}" width="2.5" height="3" fill="#ffe98a"/>`;
    });
    return {
      behind:
        rect(-1, 66, '#d7dbe2') +
        towers +
        rect(46, 20, '#575c66') +
        many(4, (i) => `<rect x="${i * 18 + between(s, 0, 3)}" y="56" width="9" height="2" fill="#fff"/>`),
    };
  },
  'in the desert': (s) => {
    const x = s.uniform() < 0.5 ? between(s, 4, 10) : between(s, 52, 58);
    return {
      behind:
        rect(-1, 66, '#ffb46b') +
        `<circle cx="${between(s, 18, 46)}" cy="10" r="6" fill="#ff6b3a"/><path d="M-1 ${between(s, 36, 42)} Q20 ${between(s, 28, 34)} 40 40 T65 36 L65 65 L-1 65 Z" fill="#d98f3d"/><path d="M${x} 44 L${x} 24 M${x - 4} 28 L${x - 4} 33 L${x} 33 M${x + 4} 25 L${x + 4} 30 L${x} 30" stroke="#3f7d3a" stroke-width="3" fill="none" stroke-linecap="round"/>`,
    };
  },
  'under water': (s) => ({
    behind:
      rect(-1, 66, '#0e6f8f') +
      rect(-1, 18, '#1a93ad') +
      rect(56, 10, '#c9b27a') +
      many(
        3,
        () =>
          `<path d="M${between(s, 3, 61)} 60 q-4 -6 0 -11 q4 -6 0 -12" fill="none" stroke="#1f9a4f" stroke-width="2.6"/>`,
      ),
    before: many(
      7,
      () =>
        `<circle cx="${between(s, 3, 61)}" cy="${between(s, 3, 50)}" r="${between(s, 1.3, 2.4)}" fill="#0e6f8f" stroke="#b9f0ff" stroke-width="1.1"/>`,
    ),
  }),
  'in a room': (s) => {
    const x = s.uniform() < 0.5 ? between(s, 3, 8) : between(s, 42, 47);
    return {
      behind:
        rect(-1, 66, '#c98f9d') +
        many(5, (i) => `<rect x="${i * 14 + 2}" y="-1" width="4" height="46" fill="#d8a6b2"/>`) +
        `<rect x="${x}" y="6" width="14" height="15" fill="#9fdcf7" stroke="#fff" stroke-width="2.4"/><path d="M${x + 7} 6 L${x + 7} 21 M${x} 13.5 L${x + 14} 13.5" stroke="#fff" stroke-width="1.6"/>` +
        rect(between(s, 43, 47), 24, '#8a5b3a'),
    };
  },
  'in the forest': (s) => ({
    behind:
      rect(-1, 66, '#2f5d3a') +
      many(5, (i) => {
        const x = i * 14 + between(s, 0, 7);
        return `<rect x="${x}" y="6" width="5" height="50" fill="#4a3323"/><circle cx="${x + 2.5}" cy="${between(s, 3, 8)}" r="9" fill="#1d7a35"/>`;
      }) +
      rect(between(s, 50, 54), 16, '#54452c'),
  }),
};
