/** Checkpoints in one file: each opens as the pipeline of its name, and is written back with the same keys and bytes. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openPipeline } from '../../src/formats/pipeline/pipeline-folder.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { openCheckpoint } from '../../src/formats/single-file/open-checkpoint.js';
import { writeCheckpoint } from '../../src/formats/single-file/write-checkpoint.js';
import type { WeightFile } from '../../src/formats/weight-file.js';
import type { Golden } from './context.js';

export async function checkSingleFiles(golden: Golden): Promise<void> {
  const folder = join(golden.folder, 'single-file');
  for (const name of readdirSync(folder)
    .filter((file) => file.endsWith('.safetensors'))
    .sort())
    await checkOne(golden, join(folder, name), golden.find(basename(name, '.safetensors')));
}

/** @param model the folder of its name; without one (`--fallback` may have it) the file's own view is written back */
async function checkOne(golden: Golden, file: string, model: string | undefined): Promise<void> {
  const aside = mkdtempSync(join(tmpdir(), 'diffengine-verify-'));
  try {
    const opened = await openPipeline(await openCheckpoint(file, { config: model, cacheDir: aside })),
      expected = model === undefined ? opened : await openPipeline(model);
    for (const part of ['unet', 'vae', 'text'] as const)
      golden.report.exact(
        `${part} as in the folder`,
        await bytesOf(opened[part].weights),
        await bytesOf(expected[part].weights),
      );
    for (const part of ['unetConfig', 'vaeConfig', 'textConfig', 'schedulerConfig'] as const)
      golden.report.exact(part, opened[part], expected[part]);
    const back = join(aside, 'back.safetensors');
    await writeCheckpoint(expected.path, back);
    const [ours, theirs] = [await openSafetensors(back), await openSafetensors(file)];
    golden.report.exact('written back: keys and shapes', shapesOf(ours), shapesOf(theirs));
    golden.report.exact('written back: bytes', await bytesOf(ours), await bytesOf(theirs));
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

const shapesOf = ({ entries }: WeightFile): string[] =>
  [...entries.values()].map(({ name, dtype, shape }) => `${name} ${dtype}[${shape}]`).sort();

async function bytesOf(weights: WeightFile): Promise<string[]> {
  const out: string[] = [];
  for (const name of [...weights.entries.keys()].sort()) {
    const { data } = await weights.read(name);
    out.push(`${name} ${Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')}`);
  }
  return out;
}
