import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { OnnxRuntimeBackend } from '../../../src/backends/onnxruntime/onnxruntime-backend.js';
import { loadComponents } from '../../../src/components.js';
import { Report } from '../../../tools/verify/report.js';
import { verify } from '../../../tools/verify/verify.js';
import { golden, goldenDir, skipGolden } from '../../golden.js';

t.setTimeout(300_000);

const CPU = {
  device: 'cpu',
  intra_op_num_threads: 0,
  graph_optimization_level: 'extended',
  scratch_dir: null,
} as const;

void t.test(
  'every number of the Python libraries is met: networks, samplers, gradients, training, adapters, pipelines, files',
  { skip: skipGolden },
  async (t) => {
    await loadComponents();
    const backend = new OnnxRuntimeBackend(CPU);
    t.teardown(() => backend.dispose());
    const report = await verify(goldenDir as string, undefined, backend);
    t.strictSame(report.misses, []);
    const compared = new Map<string, number>();
    for (const { file } of report.rows) compared.set(file, (compared.get(file) ?? 0) + 1);
    for (const file of [
      'distill',
      'lora_grads_base_r4',
      'lora_train_base_r8_prior',
      'pipeline',
      'scheduler_trajectories',
      'unet_bk_small',
      'vae',
      'text_encoder',
    ]) {
      if (existsSync(golden('reference', `${file}.safetensors`)))
        t.ok((compared.get(`${file}.safetensors`) ?? 0) > 3, `${file}: ${compared.get(`${file}.safetensors`)} rows`);
    }
  },
);

const second = resolve(goldenDir ?? '.', '..', 'golden2');

void t.test(
  'numbers of the second set that need no other folder: samplers, Stable Diffusion 2, tokenizers, single files; the rest is named',
  { skip: existsSync(join(second, 'reference')) ? false : `no reference numbers in ${second}` },
  async (t) => {
    await loadComponents();
    const backend = new OnnxRuntimeBackend(CPU);
    t.teardown(() => backend.dispose());
    const report = await verify(second, undefined, backend);
    t.strictSame(report.misses, []);
    for (const [file, rows] of Object.entries({ samplers: 60, sd2: 8, sdxl: 4, dino: 2 }))
      t.ok(report.rows.filter((row) => row.file === `${file}.safetensors`).length >= rows, file);
    const skipped = (file: string): string[] => report.skipped.filter((s) => s.file === file).map((s) => s.tensor);
    t.strictSame(skipped('sdxl_pipeline.safetensors'), ['whole file: diffengine has no Stable Diffusion XL']);
    t.match(skipped('adapter_dora.safetensors'), [/^whole file: .*add --fallback with one$/]);
  },
);

void t.test('a report tells near from far, by the measure asked for', async (t) => {
  const report = new Report();
  report.about('a.safetensors');
  report.rel('near', [1, 2.00001], [1, 2], 1e-5);
  report.rel('far', [1, 2.1], [1, 2], 1e-2);
  report.abs('abs', [1, 2.1], [1, 2], 0.2);
  report.cosine('angle', [1, 0], [0, 1], 1e-4);
  report.rel('lengths', [1], [1, 2], 1);
  report.rel('not a number', [NaN, 2], [1, 2], 1);
  report.exact('ids', [1, 2], [1, 2]);
  t.strictSame(
    report.rows.map((r) => r.ok),
    [true, false, true, false, false, false, true],
  );
  t.strictSame(
    report.misses.map((r) => r.tensor),
    ['far', 'angle', 'lengths', 'not a number'],
  );
});
