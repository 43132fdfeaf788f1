/**
 * A pipeline folder without weights, made usable for planning: its weight files have every tensor's name, dtype and shape,
 * and a hole where the values would be, which takes no space on disk and reads as zeros.
 */
import { cp, mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseClipTextConfig } from '../networks/clip-text.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordText, recordUnet, recordVae } from '../networks/record.js';
import { parseUNetConfig } from '../networks/unet-config.js';
import { parseVaeConfig } from '../networks/vae-config.js';
import { layOut } from '../formats/safetensors/safetensors-header.js';
import { bytesPerElement, sizeOf, totalSizeOf, type DType, type Shape } from '../tensor/host.js';

/** What a component's weights are recorded from, and called. */
const COMPONENTS = {
  unet: {
    file: 'diffusion_pytorch_model',
    shapes: (raw, where) => recorded((s) => recordUnet(s, parseUNetConfig(raw, where))),
  },
  vae: {
    file: 'diffusion_pytorch_model',
    shapes: (raw, where) => recorded((s) => recordVae(s, parseVaeConfig(raw, where))),
  },
  text_encoder: {
    file: 'model',
    shapes: (raw, where) => recorded((s) => recordText(s, parseClipTextConfig(raw, where))),
  },
} as const satisfies Record<
  string,
  { file: string; shapes: (raw: Record<string, unknown>, where: string) => ReadonlyMap<string, Shape> }
>;

/**
 * @param configs a pipeline folder of which only configs and tokenizer need to be there  @param folder new; gets copies of them
 * @param dtype of the weights of a component of so many values
 */
export async function standIn(
  configs: string,
  folder: string,
  dtype: (component: keyof typeof COMPONENTS, values: number) => DType,
): Promise<void> {
  await cp(configs, folder, {
    recursive: true,
    dereference: true,
    filter: (path) => !/\.(safetensors|bin)(\.index\.json)?$/.test(path),
  });
  for (const name of Object.keys(COMPONENTS) as (keyof typeof COMPONENTS)[]) {
    const { file, shapes } = COMPONENTS[name],
      where = join(folder, name, 'config.json');
    const recordedShapes = shapes(await readJson(where, 'every component has one'), where);
    const values = totalSizeOf(recordedShapes);
    await writeHollow(join(folder, name, `${file}.safetensors`), recordedShapes, dtype(name, values));
  }
}

/** The header of a safetensors file of these tensors, and a hole for their values. */
async function writeHollow(path: string, shapes: ReadonlyMap<string, Shape>, dtype: DType): Promise<void> {
  const specs = [...shapes].map(([name, shape]) => ({ name, dtype, shape })),
    { head } = layOut(specs, { format: 'pt' });
  const bytes = specs.reduce((n, { shape }) => n + sizeOf(shape) * bytesPerElement[dtype], head.length);
  await mkdir(dirname(path), { recursive: true });
  const handle = await open(path, 'w');
  try {
    await handle.write(head);
    await handle.truncate(bytes);
  } finally {
    await handle.close();
  }
}
