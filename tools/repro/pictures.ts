/** The pictures of docs/results.md, from the sheets that evaluations left. */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp, { type OverlayOptions } from 'sharp';
import { evaluationOf, type Row, type Stage } from './row.js';

export const PICTURES = 'docs/results';
/** Of contactSheet, and the side of toyland's pictures. */
const GAP = 4,
  SIDE = 64;
/** Each pixel of a drawing becomes so many across. */
const ENLARGED = 2;
/** Pictures of a stage that are kept. */
const KEPT = 8;

const place = async (name: string): Promise<string> => {
  await mkdir(PICTURES, { recursive: true });
  return join(PICTURES, `${name}.png`);
};
/** What is kept of a stage's first sheet. */
const keptOf = ({ record }: Stage): string => record.replace(/json$/, 'png');

/** Keeps the first pictures of a stage that just ended, in one line. */
export async function keepPictures(stage: Stage): Promise<void> {
  const sheet = join(evaluationOf(stage.id), 'seed0.png');
  if (existsSync(sheet)) await compose([await tiles(sheet, KEPT)], keptOf(stage), 1);
}

/** The first pictures of a row's first training. */
export async function strip(row: Row): Promise<void> {
  await compose([await tiles(keptOf(row.stages[0]), KEPT)], await place(row.id), ENLARGED);
}

/** One line of pictures per row, one column per prompt. */
export async function comparison(name: string, rows: readonly Row[], prompts: number): Promise<void> {
  const lines = await Promise.all(rows.map((row) => tiles(keptOf(row.stages[0]), prompts)));
  await compose(lines, await place(name), ENLARGED);
}

/** @returns the first pictures of a sheet, or all of one with fewer; PNG */
async function tiles(sheet: string, count: number): Promise<Buffer[]> {
  const { width = 0, height = 0 } = await sharp(sheet).metadata(),
    across = Math.floor((width + GAP) / (SIDE + GAP)),
    down = Math.floor((height + GAP) / (SIDE + GAP));
  return Promise.all(
    Array.from({ length: Math.min(count, across * down) }, (_, i) =>
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

async function compose(lines: readonly (readonly Buffer[])[], out: string, enlarged: number): Promise<void> {
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
    .resize(width * enlarged, height * enlarged, { kernel: 'nearest' })
    .png({ palette: true, effort: 10 })
    .toFile(out);
}
