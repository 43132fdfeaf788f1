/** The pictures of docs/results.md, from the sheets that evaluations left. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type OverlayOptions } from 'sharp';
import { evaluationOf, type Row } from './row.js';

export const PICTURES = 'docs/results';
/** Of contactSheet, and the side of toyland's pictures. */
const GAP = 4,
  SIDE = 64;
/** Each pixel of a drawing becomes so many across. */
const ENLARGED = 2;

const place = async (name: string): Promise<string> => {
  await mkdir(PICTURES, { recursive: true });
  return join(PICTURES, `${name}.png`);
};
const sheetOf = (row: Row): string => join(evaluationOf(row.stages[0].id), 'seed0.png');

/** The first `shown` pictures of a row's first training, in one line. */
export async function strip(row: Row, shown: number): Promise<void> {
  await compose([await tiles(row, shown)], await place(row.id));
}

/** One line of pictures per row, one column per prompt. */
export async function comparison(name: string, rows: readonly Row[], prompts: number): Promise<void> {
  await compose(await Promise.all(rows.map((row) => tiles(row, prompts))), await place(name));
}

/** @returns the first pictures of a sheet, PNG */
async function tiles(row: Row, count: number): Promise<Buffer[]> {
  const sheet = sheetOf(row),
    { width = 0 } = await sharp(sheet).metadata(),
    across = Math.floor((width + GAP) / (SIDE + GAP));
  return Promise.all(
    Array.from({ length: count }, (_, i) =>
      sharp(sheet)
        .extract({
          left: (i % across) * (SIDE + GAP),
          top: Math.floor(i / across) * (SIDE + GAP),
          width: SIDE,
          height: SIDE,
        })
        .png()
        .toBuffer(),
    ),
  );
}

async function compose(lines: readonly (readonly Buffer[])[], out: string): Promise<void> {
  const step = SIDE + GAP,
    width = lines[0].length * step - GAP,
    height = lines.length * step - GAP;
  const layers = lines.flatMap((line, y) =>
    line.map((input, x): OverlayOptions => ({ input, left: x * step, top: y * step })),
  );
  const small = await sharp({ create: { width, height, channels: 3, background: '#fff' } })
    .composite(layers)
    .png()
    .toBuffer();
  // a quarter of the bytes, for drawings no worse
  await sharp(small)
    .resize(width * ENLARGED, height * ENLARGED, { kernel: 'nearest' })
    .png({ palette: true, effort: 10 })
    .toFile(out);
}
