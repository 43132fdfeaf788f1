/** The text side of an SDXL-style pipeline: tokenizers that are tokenizer.json alone, and the states of both encoders. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { openWeights } from '../../src/formats/open-weights.js';
import { loadTokenizer } from '../../src/formats/tokenizers/load-tokenizer.js';
import { clipText, parseClipTextConfig } from '../../src/networks/clip-text.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { floats } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { readPythonJson, toInt32, toNumbers, type Golden } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

/** Ids of the file's prompts, and `text/penultimate_<n>`: the states before the last layer. */
export async function checkSdxlText(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    folder = pipelineOf(golden.folder),
    { prompts } = golden.meta<{ prompts?: string[] }>(file);
  for (const [n, suffix] of [
    ['1', ''],
    ['2', '_2'],
  ]) {
    const name = `data/input_ids_${n}`,
      states = `text/penultimate_${n}`;
    if (folder === undefined || !reference.entries.has(name) || !reference.entries.has(states)) {
      golden.report.missing(`${name}, ${states}`);
      continue;
    }
    const ids = toInt32(await reference.read(name)),
      expected = toNumbers(ids);
    const tokenizer = await loadTokenizer(join(folder, `tokenizer${suffix}`));
    if (prompts)
      golden.report.exact(
        `${name} of the prompts`,
        prompts.flatMap((prompt) => [...tokenizer.encode(prompt).ids]),
        expected,
      );
    else golden.report.missing(`${name} of the prompts`);
    const dir = join(folder, `text_encoder${suffix}`),
      config = parseClipTextConfig(readPythonJson(join(dir, 'config.json')), dir);
    const scope = new Scope(new FrozenSource(await openWeights(dir, 'model')));
    const { hiddenStates } = clipText(scope, input('ids', ids.shape, 'int32'), config);
    const results = await evaluate(golden, file, { out: hiddenStates[config.layers - 1] }, { ids });
    golden.report.rel(states, floats(results['out']), floats(await reference.read(states)), LIMITS.network);
  }
}

/** The folder below `xl/` that is a whole pipeline. */
function pipelineOf(folder: string): string | undefined {
  const root = join(folder, 'xl');
  const names = existsSync(root) ? readdirSync(root).sort() : [];
  return names.map((name) => join(root, name)).find((path) => existsSync(join(path, 'tokenizer_2')));
}
