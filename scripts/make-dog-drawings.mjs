// Draws assets/dog-drawings/: one and the same cartoon dog (orange, one black ear, blue collar) in five settings.
// Deterministic: the same script and sharp version give the same files. Run: node scripts/make-dog-drawings.mjs
import { mkdir } from 'node:fs/promises';
import sharp from 'sharp';

const FOLDER = 'assets/dog-drawings';
const SIZE = 96;
const ORANGE = '#f28c28',
  DARK = '#241a16',
  CREAM = '#ffe3bd',
  BLUE = '#1f5fd6',
  PINK = '#f2708a';
const line = `stroke="${DARK}" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"`;

/** The head around (0, 0), about 44 wide: orange ear left, black ear right. */
const head = (tongue) => `
  <path d="M-15 -12 C-27 -14 -30 4 -23 12 C-17 10 -13 0 -12 -6 Z" fill="${ORANGE}" ${line}/>
  <path d="M15 -12 C27 -14 30 4 23 12 C17 10 13 0 12 -6 Z" fill="${DARK}" ${line}/>
  <ellipse cx="0" cy="0" rx="18" ry="17" fill="${ORANGE}" ${line}/>
  <ellipse cx="0" cy="8" rx="10.5" ry="8" fill="${CREAM}"/>
  ${tongue ? `<path d="M-3.5 11 L-3.5 17 A3.5 3.5 0 0 0 3.5 17 L3.5 11 Z" fill="${PINK}" ${line}/>` : ''}
  <path d="M-6 10 Q-3 13.5 0 10 Q3 13.5 6 10" fill="none" ${line}/>
  <ellipse cx="0" cy="4.5" rx="4" ry="3" fill="${DARK}"/>
  <circle cx="-7" cy="-4" r="2.8" fill="${DARK}"/><circle cx="7" cy="-4" r="2.8" fill="${DARK}"/>
  <circle cx="-6" cy="-5" r="0.9" fill="#fff"/><circle cx="8" cy="-5" r="0.9" fill="#fff"/>`;

const collar = (x, y, turn = 0) => `<g transform="translate(${x} ${y}) rotate(${turn})">
  <rect x="-12" y="-3" width="24" height="6.5" rx="3" fill="${BLUE}" ${line}/><circle cx="0" cy="5.5" r="3" fill="#ffd23f" ${line}/></g>`;

const at = (x, y, content, extra = '') => `<g transform="translate(${x} ${y}) ${extra}">${content}</g>`;
const leg = (x, y, height) =>
  `<rect x="${x}" y="${y}" width="8.5" height="${height}" rx="4" fill="${ORANGE}" ${line}/>`;

/** Facing us, sitting; (0, 0) is the middle of the collar. */
const sitting = (tongue) => `
  <path d="M15 30 C28 28 30 16 25 11" fill="none" stroke="${DARK}" stroke-width="8.5" stroke-linecap="round"/>
  <path d="M15 30 C28 28 30 16 25 11" fill="none" stroke="${ORANGE}" stroke-width="4.5" stroke-linecap="round"/>
  <ellipse cx="0" cy="20" rx="17" ry="19" fill="${ORANGE}" ${line}/>
  <ellipse cx="0" cy="19" rx="8.5" ry="13" fill="${CREAM}"/>
  <ellipse cx="-11" cy="36" rx="8" ry="5" fill="${ORANGE}" ${line}/><ellipse cx="11" cy="36" rx="8" ry="5" fill="${ORANGE}" ${line}/>
  ${at(0, -15, head(tongue))}${collar(0, 2)}`;

/** From the side, looking at us; (0, 0) is the middle of the trunk. `facing` 1: to the right, -1: to the left. */
const standing = (stride, facing) =>
  at(
    0,
    0,
    `
  <path d="M-24 -4 C-34 -8 -35 -18 -31 -24" fill="none" stroke="${DARK}" stroke-width="8.5" stroke-linecap="round"/>
  <path d="M-24 -4 C-34 -8 -35 -18 -31 -24" fill="none" stroke="${ORANGE}" stroke-width="4.5" stroke-linecap="round"/>
  ${at(-15, 6, leg(-4, 0, 20), `rotate(${stride})`)}${at(14, 6, leg(-4, 0, 20), `rotate(${-stride})`)}
  <rect x="-27" y="-12" width="50" height="25" rx="12" fill="${ORANGE}" ${line}/>
  <path d="M-16 8 Q0 13 12 8" fill="none" stroke="${CREAM}" stroke-width="5" stroke-linecap="round"/>
  ${at(-21, 6, leg(-4, 0, 20), `rotate(${-stride})`)}${at(8, 6, leg(-4, 0, 20), `rotate(${stride})`)}
  ${collar(17, -9, -12)}${at(20, -25, head(false), `scale(${facing} 1)`)}`,
    `scale(${facing} 1)`,
  );

/** Lying down, paws forward; (0, 0) is the middle of the trunk. */
const lying = `
  <path d="M-30 4 C-38 2 -40 -8 -36 -13" fill="none" stroke="${DARK}" stroke-width="8.5" stroke-linecap="round"/>
  <path d="M-30 4 C-38 2 -40 -8 -36 -13" fill="none" stroke="${ORANGE}" stroke-width="4.5" stroke-linecap="round"/>
  <rect x="-33" y="-12" width="56" height="25" rx="12" fill="${ORANGE}" ${line}/>
  <ellipse cx="-22" cy="4" rx="11" ry="10" fill="${ORANGE}" ${line}/>
  <rect x="4" y="7" width="34" height="8" rx="4" fill="${ORANGE}" ${line}/>
  ${collar(18, -8, -8)}${at(20, -23, head(true))}`;

const pictures = {
  // On grass under the sun.
  '01-meadow': `<rect width="96" height="96" fill="#a9dcf5"/><circle cx="80" cy="15" r="9" fill="#ffd23f"/>
    <path d="M0 66 Q48 54 96 66 V96 H0 Z" fill="#6fbf4b"/>${at(46, 50, sitting(true))}`,
  // Walking along the beach.
  '02-beach': `<rect width="96" height="96" fill="#cfeefc"/><rect y="44" width="96" height="20" fill="#3fa7d6"/>
    <rect y="62" width="96" height="34" fill="#f3dfa2"/><path d="M6 52 q6 -4 12 0 t12 0" fill="none" stroke="#fff" stroke-width="2"/>
    ${at(46, 62, standing(14, 1))}`,
  // In the snow at night.
  '03-snow': `<rect width="96" height="96" fill="#243b6b"/><path d="M0 70 Q30 62 60 70 T96 68 V96 H0 Z" fill="#f4f8ff"/>
    ${[
      [10, 12],
      [26, 30],
      [44, 8],
      [68, 10],
      [86, 26],
      [12, 48],
      [88, 52],
    ]
      .map(([x, y]) => `<circle cx="${x}" cy="${y}" r="2" fill="#fff"/>`)
      .join('')}
    ${at(50, 49, sitting(false), 'scale(0.95)')}`,
  // Lying on a red carpet.
  '04-carpet': `<rect width="96" height="96" fill="#f6e7d8"/><rect y="60" width="96" height="36" fill="#b98a5e"/>
    <ellipse cx="48" cy="78" rx="44" ry="13" fill="#c8324a"/><rect x="8" y="10" width="22" height="26" fill="#bfe3f2" stroke="#8a5a34" stroke-width="3"/>
    ${at(46, 66, lying)}`,
  // On a street in front of houses.
  '05-street': `<rect width="96" height="96" fill="#e3ecef"/><rect x="2" y="14" width="30" height="52" fill="#d9a5b3"/>
    <rect x="34" y="4" width="28" height="62" fill="#a7c4a0"/><rect x="64" y="20" width="30" height="46" fill="#d8c27a"/>
    <rect y="66" width="96" height="30" fill="#8b8f96"/><path d="M4 90 H24 M38 90 H58 M72 90 H92" stroke="#fff" stroke-width="3"/>
    ${at(50, 60, standing(0, -1))}`,
};

await mkdir(FOLDER, { recursive: true });
for (const [name, content] of Object.entries(pictures)) {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}" viewBox="0 0 96 96">${content}</svg>`;
  const { size } = await sharp(Buffer.from(svg))
    .removeAlpha()
    .png({ compressionLevel: 9 })
    .toFile(`${FOLDER}/${name}.png`);
  console.log(`${FOLDER}/${name}.png ${size} bytes`);
}
