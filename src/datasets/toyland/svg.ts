/** Small pieces of SVG. Pictures are drawn on a square of 100 units, whatever the pixels. */

export const INK = '#17131c';
/** Outlines of 3 units are 2 pixels at 64: thinner ones do not survive an autoencoder that shrinks by four. */
export const LINE = `stroke="${INK}" stroke-width="3" stroke-linejoin="round" stroke-linecap="round"`;

export const path = (d: string, fill: string): string => `<path d="${d}" fill="${fill}" ${LINE}/>`;
export const rect = (x: number, y: number, width: number, height: number, fill: string, round = 0): string =>
  `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="${round}" fill="${fill}" ${LINE}/>`;
export const circle = (x: number, y: number, r: number, fill: string): string => `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}" ${LINE}/>`;
export const ellipse = (x: number, y: number, rx: number, ry: number, fill: string): string =>
  `<ellipse cx="${x}" cy="${y}" rx="${rx}" ry="${ry}" fill="${fill}" ${LINE}/>`;
/** The same without an outline. */
export const dot = (x: number, y: number, r: number, fill: string): string => `<circle cx="${n(x)}" cy="${n(y)}" r="${n(r)}" fill="${fill}"/>`;
export const area = (d: string, fill: string): string => `<path d="${d}" fill="${fill}"/>`;
export const block = (x: number, y: number, width: number, height: number, fill: string): string =>
  `<rect x="${n(x)}" y="${n(y)}" width="${n(width)}" height="${n(height)}" fill="${fill}"/>`;
export const stroke = (d: string, colour: string, width: number): string =>
  `<path d="${d}" fill="none" stroke="${colour}" stroke-width="${width}" stroke-linecap="round" stroke-linejoin="round"/>`;
/** A thick line with an outline: tails, arms, handles. */
export const tube = (d: string, colour: string, width: number): string => stroke(d, INK, width + 6) + stroke(d, colour, width);

/** Two decimals are plenty. */
export const n = (value: number): number => Math.round(value * 100) / 100;

/** @param colour #rrggbb @param factor below 1 darkens */
export function shade(colour: string, factor: number): string {
  return `#${[1, 3, 5].map((i) => Math.min(255, Math.round(parseInt(colour.slice(i, i + 2), 16) * factor)).toString(16).padStart(2, '0')).join('')}`;
}
