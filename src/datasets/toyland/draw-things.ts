import type { Drawing } from './subject.js';
import { INK, circle, dot, ellipse, path, rect, stroke, tube } from './svg.js';

const GLASS = '#bfeaff', METAL = '#c3c9d2', TYRE = '#2b2b33';

/** From the side. */
export const car: Drawing = {
  top: { x: -2, y: -50, width: 30 }, eyes: { x: 2, y: -39, width: 32 }, neck: { x: 0, y: -27, width: 76 },
  bucketTurn: -16, bucketLift: 20,
  draw: ({ fill }) => `
    ${path('M-42 -10 V-24 Q-42 -30 -34 -31 L-24 -32 L-14 -49 Q-12 -52 -8 -52 H10 Q14 -52 17 -49 L27 -32 L37 -29 Q43 -27 43 -20 V-10 Z', fill)}
    ${path('M-16 -33 L-8 -46 H-1 V-33 Z', GLASS)}${path('M5 -33 V-46 H11 L19 -33 Z', GLASS)}
    ${circle(-22, -9, 9.5, TYRE)}${circle(22, -9, 9.5, TYRE)}${dot(-22, -9, 4, METAL)}${dot(22, -9, 4, METAL)}
    ${ellipse(40, -22, 3, 4, '#fff3a0')}`,
};

/** A mug with a handle and steam. */
export const cup: Drawing = {
  top: { x: -6, y: -50, width: 34 }, eyes: { x: -6, y: -34, width: 34 }, neck: { x: -6, y: -18, width: 42 },
  bucketLift: 16,
  draw: ({ fill, plain }) => `
    ${stroke('M-14 -64 q-5 -5 0 -9 t0 -9 M2 -64 q-5 -5 0 -9 t0 -9', '#fff', 4)}
    ${tube('M18 -44 C42 -46 40 -12 15 -14', plain, 5)}
    ${path('M-32 -52 L-27 -5 Q-26 0 -20 0 H8 Q14 0 15 -5 L20 -52 Z', fill)}
    ${ellipse(-6, -52, 26, 7, '#5a3018')}`,
};

/** Gable, chimney, door and two windows. */
export const house: Drawing = {
  top: { x: 0, y: -68, width: 30 }, eyes: { x: 0, y: -33, width: 46 }, neck: { x: 0, y: -20, width: 58 },
  bucketLift: 10,
  draw: ({ fill, shade }) => `
    ${rect(14, -72, 10, 24, '#a8553f')}
    ${rect(-29, -43, 58, 43, fill)}
    ${path('M-40 -40 L0 -76 L40 -40 Z', shade)}
    ${rect(-7, -22, 14, 22, '#4a2a18')}${dot(3.5, -11, 1.8, '#ffd23f')}
    ${rect(-24, -34, 13, 12, '#fff2a8')}${rect(11, -34, 13, 12, '#fff2a8')}`,
};

/** Square head with an aerial, arms down, panel on the chest. */
export const robot: Drawing = {
  top: { x: 0, y: -68, width: 32 }, eyes: { x: 0, y: -58, width: 32 }, neck: { x: 0, y: -43, width: 30 },
  bucketLift: 2,
  draw: ({ fill, shade }) => `
    ${stroke('M10 -68 V-80', INK, 3)}${circle(10, -80, 4, '#ff3b4e')}
    ${rect(-15, -16, 11, 16, shade, 2)}${rect(4, -16, 11, 16, shade, 2)}
    ${rect(-33, -40, 10, 26, shade, 4)}${rect(23, -40, 10, 26, shade, 4)}
    ${rect(-7, -48, 14, 10, METAL)}
    ${rect(-22, -42, 44, 29, fill, 3)}${rect(-12, -36, 24, 15, METAL, 2)}
    ${dot(-5.5, -28.5, 3.4, '#ff3b4e')}${dot(5.5, -28.5, 3.4, '#38c172')}
    ${rect(-21, -69, 42, 25, fill, 3)}
    ${circle(-9, -59, 5.5, '#e8ffff')}${circle(9, -59, 5.5, '#e8ffff')}${dot(-9, -59, 2, INK)}${dot(9, -59, 2, INK)}
    ${stroke('M-8 -49.5 H8', INK, 3)}`,
};

/** A hull, a mast, a large coloured sail and a small white one. */
export const boat: Drawing = {
  top: { x: 0, y: -74, width: 20 }, eyes: { x: -10, y: -34, width: 26 }, neck: { x: 0, y: -12, width: 70 },
  bucketLift: 12,
  draw: ({ fill, shade }) => `
    ${path('M-4 -76 V-25 H-38 Q-14 -44 -4 -76 Z', fill)}${path('M6 -66 V-25 H32 Q16 -42 6 -66 Z', '#fffaf0')}
    ${stroke('M1 -80 V-20', INK, 4)}
    ${path('M-44 -20 H44 Q40 -2 28 0 H-28 Q-40 -2 -44 -20 Z', fill)}
    ${stroke('M-38 -12 H38', shade, 4)}`,
};
