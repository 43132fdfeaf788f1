/** Settings by name: what lies behind the subject, and what before it. All of the 100 x 100 units are painted. */
import type { RandomStream } from '../../random/rng.js';
import { INK, area, block, dot, ellipse, n, path, stroke } from './svg.js';
import type { Setting } from './world.js';

export interface Backdrop {
  readonly behind: string;
  readonly before: string;
  /** the y a subject stands on */
  readonly ground: number;
}

const between = (stream: RandomStream, low: number, high: number): number => n(low + (high - low) * stream.uniform());
const times = (count: number, draw: (i: number) => string): string => Array.from({ length: count }, (_, i) => draw(i)).join('');
const sky = (colour: string): string => block(0, 0, 100, 100, colour);
/** A ground with a gently waving upper edge around y. */
const land = (stream: RandomStream, y: number, colour: string): string => {
  const a = between(stream, -5, 5), b = between(stream, -5, 5);
  return area(`M0 ${n(y + a)} Q25 ${n(y - b)} 50 ${y} T100 ${n(y - a)} V100 H0 Z`, colour);
};
const cloud = (x: number, y: number, colour = '#fff'): string => dot(x, y, 6, colour) + dot(x + 8, y - 3, 8, colour) + dot(x + 16, y, 6, colour);

const SCENERY: Readonly<Record<Setting, (stream: RandomStream) => Backdrop>> = {
  'on grass': (stream) => {
    const blades = times(7, (i) => stroke(`M${n(i * 15 + between(stream, 0, 8))} ${between(stream, 80, 98)} l-2 -6 m2 6 l3 -6`, '#2f8f2a', 2.4));
    return {
      behind: sky('#8fd3ff') + cloud(between(stream, 0, 22), between(stream, 8, 20)) + cloud(between(stream, 55, 85), between(stream, 6, 24))
        + land(stream, 58, '#66cc33') + blades, before: '', ground: 86,
    };
  },
  'in a bucket': (stream) => {
    const wall = ['#ffc2cf', '#ffb5c6', '#ffcdd6'][stream.int(0, 3)], y = between(stream, 74, 82);
    return {
      behind: sky(wall) + area(`M0 ${y} H100 V100 H0 Z`, '#b96a7d') + ellipse(50, 60, 38, 8, '#4d5866'),
      before: path('M12 60 C14 71 86 71 88 60 L78 94 Q76 98 70 98 H30 Q24 98 22 94 Z', '#8d9aa9')
        + stroke('M17 74 Q50 84 83 74', '#e3e9ef', 4) + stroke('M13 64 C6 92 94 92 87 64', INK, 2.5), ground: 84,
    };
  },
  'at the beach': (stream) => {
    const x = stream.uniform() < 0.5 ? between(stream, 8, 18) : between(stream, 82, 92), y = between(stream, 24, 34);
    return {
      behind: sky('#c9f1ff') + dot(100 - x, between(stream, 10, 16), 8, '#ffd21f') + block(0, 38, 100, 26, '#16b5d8')
        + stroke(`M${between(stream, 4, 20)} 48 q6 -4 12 0 t12 0 M${between(stream, 55, 70)} 54 q6 -4 12 0 t12 0`, '#fff', 2.5)
        + land(stream, 62, '#f7dc9b') + stroke(`M${x} ${y} V78`, '#fff', 3.5)
        + path(`M${n(x - 20)} ${y} Q${x} ${n(y - 28)} ${n(x + 20)} ${y} Z`, '#ff4d4d') + area(`M${n(x - 7)} ${n(y - 1)} Q${x} ${n(y - 24)} ${n(x + 7)} ${n(y - 1)} Z`, '#fff'),
      before: '', ground: 87,
    };
  },
  'in the snow': (stream) => {
    const fir = (x: number, y: number): string => area(`M${x} ${y} l-11 26 h22 Z`, '#5f8f86') + area(`M${x} ${y} l-4.5 11 h9 Z`, '#fff');
    return {
      behind: sky('#c4d3e0') + fir(between(stream, 4, 20), between(stream, 30, 40)) + fir(between(stream, 78, 96), between(stream, 28, 40)) + land(stream, 62, '#ffffff'),
      before: times(16, () => dot(between(stream, 0, 100), between(stream, 0, 100), 2.4, '#fff')), ground: 87,
    };
  },
  'at night': (stream) => {
    const x = stream.uniform() < 0.5 ? between(stream, 12, 24) : between(stream, 76, 88), y = between(stream, 13, 20);
    return {
      behind: sky('#1b2b78') + times(12, () => dot(between(stream, 0, 100), between(stream, 0, 60), 1.7, '#fff6c2'))
        + dot(x, y, 11, '#fff3a6') + dot(x + 5, y - 3, 9.5, '#1b2b78') + land(stream, 68, '#0d1440'),
      before: '', ground: 87,
    };
  },
  'in the city': (stream) => {
    const tower = (x: number, width: number, colour: string): string => {
      const top = between(stream, 2, 28);
      const lights = times(Math.floor((58 - top) / 11), (i) => block(x + 3.5, top + 4 + i * 11, 5, 5.5, '#ffe98a') + block(x + width - 8.5, top + 4 + i * 11, 5, 5.5, '#ffe98a'));
      return block(x, top, width, 70 - top, colour) + lights;
    };
    return {
      behind: sky('#d5dade') + tower(0, 22, '#7d858f') + tower(25, 22, '#98a0a9') + tower(52, 22, '#6d747e') + tower(77, 23, '#8c949e')
        + block(0, 68, 100, 32, '#50545b') + stroke(`M${between(stream, -14, 6)} 92 h16 m14 0 h16 m14 0 h16 m14 0 h16`, '#fff', 3.5),
      before: '', ground: 86,
    };
  },
  'in the desert': (stream) => {
    const cactus = (x: number, y: number): string => stroke(`M${x} ${y} V${n(y - 30)} M${x} ${n(y - 10)} h-7 v-9 M${x} ${n(y - 14)} h7 v-8`, '#2f7d4f', 5);
    return {
      behind: sky('#ffe08a') + dot(between(stream, 30, 70), between(stream, 12, 20), 10, '#fff6c9') + area(`M0 62 L${between(stream, 18, 34)} ${between(stream, 34, 44)} L56 62 Z`, '#c9713a')
        + cactus(between(stream, 6, 12), between(stream, 66, 74)) + cactus(between(stream, 88, 94), between(stream, 64, 72)) + land(stream, 62, '#e89a4f'),
      before: '', ground: 87,
    };
  },
  'under water': (stream) => {
    const weed = (x: number): string => stroke(`M${x} 100 q-6 -8 0 -15 t0 -15 t0 -${between(stream, 4, 14)}`, '#0b7a4b', 5);
    return {
      behind: sky('#0fa3b1') + block(0, 0, 100, 20, '#3cc4cf') + land(stream, 90, '#cdbb7d') + weed(between(stream, 4, 12)) + weed(between(stream, 88, 96)) + weed(between(stream, 20, 80)),
      before: times(9, () => `<circle cx="${between(stream, 4, 96)}" cy="${between(stream, 4, 80)}" r="${between(stream, 2, 3.6)}" fill="none" stroke="#e9ffff" stroke-width="1.8"/>`), ground: 84,
    };
  },
  'in a room': (stream) => {
    const x = stream.uniform() < 0.5 ? between(stream, 4, 12) : between(stream, 62, 70), lamp = x > 50 ? between(stream, 12, 20) : between(stream, 80, 88);
    return {
      behind: sky('#cdb6ea') + times(5, (i) => block(i * 22, 0, 7, 70, '#bda0e0')) + block(0, 68, 100, 32, '#a5673a') + stroke('M0 68 H100', '#f5ead8', 3.5)
        + path(`M${x} 10 h26 v28 h-26 Z`, '#e6f7ff') + stroke(`M${n(x + 13)} 10 v28 M${x} 24 h26`, INK, 2.4)
        + stroke(`M${lamp} 44 V84`, INK, 3) + path(`M${n(lamp - 9)} 46 L${n(lamp - 5)} 30 H${n(lamp + 5)} L${n(lamp + 9)} 46 Z`, '#fff0a0'),
      before: '', ground: 88,
    };
  },
};

export const backdrop = (setting: Setting, stream: RandomStream): Backdrop => SCENERY[setting](stream);
