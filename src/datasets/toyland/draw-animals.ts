import type { Drawing } from './subject.js';
import { INK, circle, dot, ellipse, path, rect, stroke, tube } from './svg.js';

const eye = (x: number, y: number, r = 3.6): string => dot(x, y, r + 1.6, INK) + dot(x, y, r, '#fff') + dot(x + 0.8, y, r * 0.6, INK);

/** From the side: long trunk, four legs, raised tail, floppy ear, snout with a large nose. */
export const dog: Drawing = {
  top: { x: 18, y: -61, width: 28 }, eyes: { x: 23, y: -51, width: 27 }, neck: { x: 11, y: -33, width: 26 },
  bucketLift: 4,
  draw: ({ fill, plain, shade }) => `
    ${tube('M-27 -30 Q-38 -36 -36 -50', plain, 5)}
    ${rect(-15, -18, 9, 18, shade, 4)}${rect(3, -18, 9, 18, shade, 4)}
    ${rect(-31, -40, 50, 26, fill, 12)}
    ${rect(-28, -18, 10, 18, fill, 4)}${rect(11, -18, 10, 18, fill, 4)}
    ${rect(22, -51, 22, 15, fill, 7)}${circle(18, -48, 16, fill)}
    <rect x="24" y="-48" width="17" height="10" rx="4" fill="${fill}"/>
    ${ellipse(42, -48, 4, 3.5, INK)}${stroke('M30 -40 Q35 -37 40 -40', INK, 2.5)}
    ${path('M9 -62 C-4 -64 -6 -42 2 -34 C11 -34 14 -48 15 -58 Z', shade)}
    ${eye(24, -53)}`,
};

/** Sitting, from the front: pointed ears, whiskers, tail around the side. */
export const cat: Drawing = {
  top: { x: 0, y: -65, width: 28 }, eyes: { x: 0, y: -53, width: 33 }, neck: { x: 0, y: -36, width: 30 },
  bucketLift: 2,
  draw: ({ fill, plain, shade }) => `
    ${tube('M12 -5 C36 -2 38 -18 30 -32', plain, 6)}
    ${path('M-20 0 C-26 -22 -14 -38 0 -38 C14 -38 26 -22 20 0 Z', fill)}
    ${ellipse(-9, -3, 8, 5, fill)}${ellipse(9, -3, 8, 5, fill)}
    ${path('M-22 -54 L-23 -78 L-4 -66 Z', fill)}${path('M22 -54 L23 -78 L4 -66 Z', fill)}
    ${dot(-17, -67, 3.5, shade)}${dot(17, -67, 3.5, shade)}
    ${ellipse(0, -51, 25, 19, fill)}
    <ellipse cx="-10" cy="-54" rx="6" ry="6.5" fill="${INK}"/><ellipse cx="10" cy="-54" rx="6" ry="6.5" fill="${INK}"/>
    <ellipse cx="-10" cy="-54" rx="4.2" ry="4.8" fill="#c8f03c"/><ellipse cx="10" cy="-54" rx="4.2" ry="4.8" fill="#c8f03c"/>
    <ellipse cx="-10" cy="-54" rx="1.6" ry="4.6" fill="${INK}"/><ellipse cx="10" cy="-54" rx="1.6" ry="4.6" fill="${INK}"/>
    <path d="M-4 -46 H4 L0 -41 Z" fill="#ff7f9f" stroke="${INK}" stroke-width="1.5"/>
    ${stroke('M-14 -43 L-34 -46 M-14 -39 L-33 -36 M14 -43 L34 -46 M14 -39 L33 -36', INK, 2)}`,
};

/** From the side: an oval with a large tail fin. */
export const fish: Drawing = {
  top: { x: 14, y: -50, width: 26 }, eyes: { x: 22, y: -37, width: 26 }, neck: { x: 4, y: -32, width: 38 },
  bucketTurn: -62, bucketLift: 26,
  draw: ({ fill, shade }) => `
    ${path('M-18 -32 L-42 -54 Q-34 -32 -42 -10 Z', shade)}
    ${path('M-10 -50 Q2 -68 16 -52 Z', shade)}${path('M-6 -14 Q0 0 12 -13 Z', shade)}
    ${path('M-26 -32 C-14 -58 28 -60 42 -32 C28 -4 -14 -6 -26 -32 Z', fill)}
    ${path('M2 -34 Q-10 -40 -10 -28 Q-10 -18 2 -24 Z', shade)}
    ${stroke('M40 -28 Q34 -27 32 -23', INK, 3)}${eye(26, -39, 4.6)}`,
};

/** From the side: round body, beak, wing, two thin legs. */
export const bird: Drawing = {
  top: { x: 15, y: -65, width: 24 }, eyes: { x: 20, y: -56, width: 24 }, neck: { x: 10, y: -41, width: 27 },
  bucketLift: 4,
  draw: ({ fill, shade }) => `
    ${tube('M-6 -14 V-3 H2', '#ffa400', 1.5)}${tube('M8 -14 V-3 H16', '#ffa400', 1.5)}
    ${path('M-16 -30 L-44 -46 L-38 -24 Z', shade)}
    ${path('M26 -58 L45 -49 L25 -44 Z', '#ffb300')}
    ${ellipse(-1, -28, 24, 18, fill)}${circle(15, -52, 15, fill)}
    <circle cx="8" cy="-38" r="11" fill="${fill}"/>
    ${path('M-22 -38 C-6 -42 8 -36 9 -28 C4 -14 -16 -16 -22 -38 Z', shade)}
    ${eye(20, -55)}`,
};
