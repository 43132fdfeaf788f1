/** Vision transformers: DINO's ViT and DINOv2. */
import { join } from 'node:path';
import { openVit } from '../../src/formats/vit-folder.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { vit } from '../../src/networks/vit.js';
import { floats } from '../../src/tensor/host.js';
import { leaf, type Golden } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

const STATES = '/last_hidden_state';

/** `<folder>/last_hidden_state` of each folder that the file names. */
export async function checkVit(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    pixels = await reference.read('data/pixel_values');
  for (const name of [...reference.entries.keys()].filter((key) => key.endsWith(STATES))) {
    const { config, source } = await openVit(join(golden.folder, name.slice(0, -STATES.length)));
    const results = await evaluate(
      golden,
      file,
      { out: vit(new Scope(source), leaf('pixels', pixels), config) },
      { pixels },
    );
    golden.report.rel(name, floats(results['out']), floats(await reference.read(name)), LIMITS.network);
  }
}
