/** What subjects are painted with beyond toyland's colours: two colours in parts, and marks on top. */
import type { RandomStream } from '../../base/rng.js';
import type { Paint } from './render.js';

const INK = '#26222b';
/** The outline of a mark. @param width in units of the figure */
export const edge = (width: number): string =>
  `stroke="${INK}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"`;

/** Bands across the figure, in its own units. @param bands colour and where it ends, of 0 to 1 from corner to corner */
export function gradient(id: string, direction: string, bands: readonly (readonly [string, number])[]): string {
  const stops = bands.map(
    ([colour, end], i) =>
      `<stop offset="${i === 0 ? 0 : bands[i - 1][1]}" stop-color="${colour}"/><stop offset="${end}" stop-color="${colour}"/>`,
  );
  return `<linearGradient id="${id}" gradientUnits="userSpaceOnUse" ${direction}>${stops.join('')}</linearGradient>`;
}

/** Five points around (x, y). @param r from the middle to a point */
export function star(x: number, y: number, r: number, fill: string): string {
  const points = Array.from({ length: 10 }, (_, i) => {
    const angle = (i * Math.PI) / 5 - Math.PI / 2,
      reach = i % 2 === 0 ? r : r * 0.45;
    return `${(x + reach * Math.cos(angle)).toFixed(2)} ${(y + reach * Math.sin(angle)).toFixed(2)}`;
  });
  return `<path d="M${points.join(' L')} Z" fill="${fill}" ${edge(1.2)}/>`;
}

type Mark = (x: number, y: number, r: number, fill: string) => string;
const scaled =
  (d: string): Mark =>
  (x, y, r, fill) =>
    `<path transform="translate(${x} ${y}) scale(${(r / 10).toFixed(3)})" d="${d}" fill="${fill}" ${edge(2)}/>`;
const MARKS: readonly Mark[] = [
  star,
  (x, y, r, fill) => `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}" ${edge(1.5)}/><circle cx="${x}" cy="${y}" r="${(r / 2.2).toFixed(2)}" fill="${INK}"/>`, // prettier-ignore
  scaled('M0 9 L-9 0 Q-10 -7 -5 -7 Q-1 -7 0 -3 Q1 -7 5 -7 Q10 -7 9 0 Z'), // a heart
  scaled('M2 -10 L-6 1 L0 1 L-3 10 L7 -2 L1 -2 L5 -10 Z'), // a lightning
  scaled('M0 -3 Q-5 -6 -10 2 Q-4 5 0 0 Q4 5 10 2 Q5 -6 0 -3 Z'), // a moustache
];

/** Of any hue, most of them strong; one in six is nearly black or nearly white. */
function colour(stream: RandomStream, hue: number): string {
  if (stream.uniform() < 1 / 6) return stream.uniform() < 0.5 ? '#33303c' : '#f4f2ee';
  const saturation = 0.65 + 0.35 * stream.uniform(),
    lightness = 0.38 + 0.24 * stream.uniform(),
    chroma = saturation * Math.min(lightness, 1 - lightness);
  // the formula of CSS Color 4, "HSL to RGB"
  const channel = (n: number): string => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))))
      .toString(16)
      .padStart(2, '0');
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** Parts of two colours. */
const DIVISIONS: readonly ((one: string, other: string, stream: RandomStream) => Paint)[] = [
  (fill) => ({ fill }),
  (one, other, stream) => {
    const angle = 2 * Math.PI * stream.uniform(),
      [x1, y1, x2, y2] = [0, Math.PI].flatMap((turn) =>
        [Math.cos(angle + turn), Math.sin(angle + turn)].map((v) => (20 * v).toFixed(2)),
      ),
      at = 0.35 + 0.3 * stream.uniform();
    return {
      fill: 'url(#halves)',
      defs: gradient('halves', `x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}"`, [
        [one, at],
        [other, 1],
      ]),
    };
  },
  (one, other, stream) => patterned(one, `<rect width="4" height="9" fill="${other}"/>`, stream),
  (one, other, stream) => patterned(one, `<path d="M0 0 H4.5 V9 H9 V4.5 H0 Z" fill="${other}"/>`, stream),
  (one, other, stream) => patterned(one, `<circle cx="4.5" cy="4.5" r="2.8" fill="${other}"/>`, stream),
];
function patterned(one: string, motif: string, stream: RandomStream): Paint {
  const turned = `rotate(${Math.round(180 * stream.uniform())})`;
  return {
    fill: 'url(#motif)',
    defs: `<pattern id="motif" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="${turned}"><rect width="9" height="9" fill="${one}"/>${motif}</pattern>`,
  };
}

/** Where marks stand, in units of the figure: most of them are on it. */
const REACH = 10;

/** Two colours, how they share the figure, and one to three marks. */
export function randomPaint(stream: RandomStream): Paint {
  const hue = 360 * stream.uniform(),
    one = colour(stream, hue),
    other = colour(stream, (hue + 60 + 240 * stream.uniform()) % 360);
  const paint = DIVISIONS[stream.int(0, DIVISIONS.length)](one, other, stream);
  return { ...paint, marks: randomMarks(stream) };
}

/** One to three marks, each of any kind and colour. */
export function randomMarks(stream: RandomStream): string {
  const place = (): number => Math.round(REACH * (2 * stream.uniform() - 1));
  return Array.from({ length: stream.int(1, 4) }, () =>
    MARKS[stream.int(0, MARKS.length)](
      place(),
      place(),
      4 + Math.round(4 * stream.uniform()),
      colour(stream, 360 * stream.uniform()),
    ),
  ).join('');
}
