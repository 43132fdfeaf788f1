/** Pictures of several shapes: batches of one shape each. */
import { createRequire } from 'node:module';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import t from 'tap';
import type sharpModule from 'sharp';
import { AspectRatioBatchSampler } from '../../src/datasets/aspect-ratio-batch-sampler.js';
import { MultiAspectRatioResizeCenterCrop } from '../../src/datasets/transforms/multi-aspect-ratio-resize-center-crop.js';
import type { Logger } from '../../src/base/logger.js';
import { Rng } from '../../src/base/rng.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);
const sharp = createRequire(import.meta.url)('sharp') as typeof sharpModule;

const SHAPES = [...new Array<number[]>(5).fill([3, 64, 64]), ...new Array<number[]>(3).fill([3, 96, 64]), [3, 64, 96]];
const shapeAt = (index: number): string => SHAPES[index].join('x');

function arranged(shuffle: boolean): { sampler: AspectRatioBatchSampler; said: string[] } {
  const said: string[] = [],
    log: Logger = { info: (line) => void said.push(line), warn: () => {}, debug: () => {} };
  const sampler = new AspectRatioBatchSampler({ shuffle }, log);
  sampler.arrange(SHAPES, 2);
  return { sampler, said };
}
const rows = (sampler: AspectRatioBatchSampler, from: number, batches: number): number[][] =>
  Array.from({ length: batches }, (_, b) =>
    [0, 1].map((j) => sampler.indexAt((from + b) * 2 + j, SHAPES.length, new Rng(7))),
  );

void t.test('AspectRatioBatchSampler: batches of one shape, all pictures in a round, none but fillers twice', (t) => {
  const { sampler, said } = arranged(true);
  t.strictSame(said, ['shapes     5 of 64x64, 3 of 64x96, 1 of 96x64; 6 batches of 2 a round']);
  for (const round of [0, 1, 5]) {
    const batches = rows(sampler, round * 6, 6);
    for (const batch of batches) t.equal(new Set(batch.map(shapeAt)).size, 1, `${batch}`);
    t.strictSame([...new Set(batches.flat())].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  }
  t.notSame(rows(sampler, 0, 6), rows(sampler, 6, 6), 'each round has its own order');
  t.strictSame(rows(arranged(true).sampler, 9, 4), rows(sampler, 9, 4), 'any place can be asked for directly');
  t.strictSame(rows(arranged(false).sampler, 0, 6), [
    [0, 1],
    [2, 3],
    [4, 0],
    [5, 6],
    [7, 5],
    [8, 8],
  ]);
  t.end();
});

void t.test('MultiAspectRatioResizeCenterCrop: the nearest ratio, of which little is cut', (t) => {
  const transform = new MultiAspectRatioResizeCenterCrop({
    sizes: [
      [64, 64],
      [96, 64],
      [64, 96],
    ],
    interpolation: 'bilinear',
  });
  const becomes = (height: number, width: number): readonly number[] =>
    transform.apply({
      img: { dtype: 'uint8', shape: [height, width, 3], data: new Uint8Array(height * width * 3) },
      text: '',
    }).img.shape;
  t.strictSame(becomes(100, 100), [64, 64, 3]);
  t.strictSame(becomes(400, 267), [96, 64, 3]);
  t.strictSame(becomes(300, 200), [96, 64, 3]);
  t.strictSame(becomes(90, 300), [64, 96, 3], 'wider than any');
  t.strictSame(becomes(110, 100), [64, 64, 3]);
  t.strictSame(becomes(20, 30), [64, 96, 3], 'a small picture is enlarged');
  // Four rows of 3:2 in a row of 96x64 each: nothing is cut off.
  const data = Uint8Array.from({ length: 96 * 64 * 3 }, (_, i) => Math.floor(i / (64 * 3)));
  t.strictSame(transform.apply({ img: { dtype: 'uint8', shape: [96, 64, 3], data }, text: '' }).img.data, data);
  t.end();
});

void t.test('a folder of mixed shapes with .txt captions trains, and resumes bit for bit', async (t) => {
  const pipeline =
    '[{ type: MultiAspectRatioResizeCenterCrop, sizes: [[64, 64], [96, 64], [64, 96]] }, { type: RandomHorizontalFlip }, { type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }]';
  const project = Project.create(t, {
    'my.yaml': `_base_: tiny_random_sd_dreambooth_lora_dog
train_dataloader: { batch_size: 2, sampler: { _delete_: true, type: AspectRatioBatchSampler }, dataset: { _delete_: true, type: ImageFolderDataset, dataset: pictures, caption_extension: .txt, pipeline: ${pipeline} } }
optim_wrapper: { optimizer: { _delete_: true, type: Prodigy, d0: 1.0e-3 } }
train_cfg: { max_iters: 4 }
default_hooks: { checkpoint: { interval: 2, max_keep_ckpts: null } }
custom_hooks: { preview: null }
`,
  });
  mkdirSync(project.file('pictures'));
  for (const [i, [width, height]] of [
    [60, 60],
    [80, 120],
    [200, 300],
  ].entries()) {
    await sharp({ create: { width, height, channels: 3, background: { r: 60 * i, g: 100, b: 50 } } }).toFile(
      project.file(`pictures/${i}.png`),
    );
    writeFileSync(project.file(`pictures/${i}.txt`), `picture ${i}`);
  }
  const hash = (folder: string): string =>
    createHash('sha256')
      .update(readFileSync(project.file(`${folder}/step3/unet/adapter_model.safetensors`)))
      .digest('hex');
  const whole = await project.run(['train', 'my.yaml', '--work-dir', 'whole']);
  t.equal(whole.code, 0, whole.err);
  t.match(whole.out, 'shapes     1 of 64x64, 2 of 64x96; 2 batches of 2 a round\n');
  const half = await project.run(['train', 'my.yaml', '--work-dir', 'half', '--cfg-options', 'train_cfg.max_iters=2']);
  t.equal(half.code, 0, half.err);
  const rest = await project.run(['train', 'my.yaml', '--work-dir', 'half', '--resume']);
  t.equal(rest.code, 0, rest.err);
  t.equal(hash('half'), hash('whole'));
});
