/** Two ranks against one process that accumulates, with networks: what is learnt and drawn must be equal to the last bit. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { mpirunOf, skipWithout, train } from '../fixtures/collectives/mpi.js';

const openMpi = mpirunOf('Open MPI');
t.setTimeout(300_000); // two trainings of small networks each

const CONFIG = 'tiny_random_sd_dreambooth_lora_dog';
const SMALL = [
  'train_dataloader.batch_size=1',
  'train_dataloader.dataset.class_image.num_images=3',
  'train_dataloader.dataset.class_image.num_inference_steps=1',
  'custom_hooks.preview.num_inference_steps=1',
  'custom_hooks.preview.interval=-1',
  'custom_hooks.ema={type: EMAHook, momentum: 0.1}',
  'backend.intra_op_num_threads=1',
];
const CASES = {
  'LoRA of U-Net and text encoder with prior preservation, an average, a loss scale and clipping': [
    'model.text_encoder_lora_config={type: LoRA, r: 4, target_modules: [q_proj, v_proj]}',
    'optim_wrapper.type=AmpOptimWrapper',
  ],
  'all parameters of the U-Net, with an average': [
    'model.unet_lora_config=null',
    'custom_hooks.preview=null',
    'train_dataloader.dataset.class_prompt=null',
  ],
} as const;

for (const [what, options] of Object.entries(CASES))
  void t.test(`2 ranks equal one process: ${what}`, { skip: skipWithout(openMpi, 'Open MPI') }, (t) => {
    const cwd = t.testdir({});
    const run = (name: string, ranks: number): void => {
      const equal = [`train_cfg.max_iters=${4 / ranks}`, `optim_wrapper.accumulative_counts=${2 / ranks}`];
      const launch = ranks === 1 ? [] : ['--gpus', String(ranks), '--launcher', 'mpi'];
      const all = [...SMALL, ...options, ...equal, `cache_dir=${join(cwd, `cache-${name}`)}`];
      const { code, err } = train(openMpi, cwd, CONFIG, ...launch, '--work-dir', name, '--cfg-options', ...all);
      t.equal(code, 0, err);
    };
    run('ranks', 2);
    run('one', 1);
    const files = (folder: string): string[] =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' })
        .filter((name) => /\.(safetensors|png)$/.test(name))
        .sort();
    const same = (a: string, b: string): void => {
      const names = files(join(cwd, a));
      t.strictSame(names, files(join(cwd, b)));
      t.ok(names.length > 0, `${a} holds something`);
      for (const name of names)
        t.ok(readFileSync(join(cwd, a, name)).equals(readFileSync(join(cwd, b, name))), `${a}: ${name}`);
    };
    same('ranks/step1', 'one/step3');
    if (what.startsWith('LoRA')) {
      same('ranks/vis/before', 'one/vis/before');
      same('ranks/vis/step1', 'one/vis/step3');
      same('cache-ranks/class-images', 'cache-one/class-images');
    }
    t.end();
  });
