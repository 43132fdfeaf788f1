/** The main job as users run it, on the real components: resumed after a kill, and on real photographs. */
import { spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t from 'tap';
import { golden, skipGolden } from '../golden.js';

const CLI = resolve('dist/tools/cli.js');
t.setTimeout(280_000);

const root = mkdtempSync(join(tmpdir(), 'diffengine-run-'));
t.teardown(() => rmSync(root, { recursive: true, force: true }));
const env = { ...process.env, DIFFENGINE_CACHE: join(root, 'cache') };

/** Runs the command line; kills it, as a power cut would, when a line of its output fits `killAt`. */
function diffengine(args: readonly string[], killAt?: RegExp): Promise<{ code: number | null; out: string }> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [CLI, ...args], { env, cwd: root });
    let out = '';
    const listen = (chunk: Buffer): void => {
      out += String(chunk);
      if (killAt?.test(out)) child.kill('SIGKILL');
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.on('close', (code) => done({ code, out }));
  });
}

const PHOTOS = golden('..', 'data', 'dreambooth', 'dog6');
const SHORT = [
  'train_cfg.max_iters=20',
  'default_hooks.checkpoint.interval=5',
  'default_hooks.logger.interval=1',
  'default_hooks.report=null',
  'custom_hooks.preview=null',
];
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  'prior preservation': [],
  'gradient accumulation and EMA': [
    'optim_wrapper.accumulative_counts=3',
    'custom_hooks.ema={type: EMAHook, momentum: 0.1}',
  ],
};
for (const [name, options] of Object.entries(VARIANTS)) {
  void t.test(`20 iterations straight equal 10, kill -9 and a resume, bit for bit: ${name}`, async (t) => {
    const train = (dir: string, extra: readonly string[] = [], killAt?: RegExp) =>
      diffengine(
        [
          'train',
          'tiny_random_sd_dreambooth_lora_dog',
          '--work-dir',
          join(root, dir),
          ...extra,
          '--cfg-options',
          ...SHORT,
          ...options,
        ],
        killAt,
      );
    const [straight, broken] = [`straight ${name}`, `broken ${name}`];
    t.equal((await train(straight)).code, 0);
    const killed = await train(broken, [], /iter 12\/20/);
    t.equal(killed.code, null, 'it was killed in the middle');
    t.notOk(existsSync(join(root, broken, 'step19')));
    t.equal((await train(broken, ['--resume'])).code, 0);
    for (const file of ['step19/unet/adapter_model.safetensors', 'step19/training_state.safetensors', 'log.jsonl']) {
      const [a, b] = [straight, broken].map((dir) => readFileSync(join(root, dir, file)));
      t.ok(a.length > 500, `${file} has content`);
      t.ok(a.equals(b), `${file} is equal`);
    }
  });
}

void t.test(
  'small_sd_dreambooth_lora_dog trains on the photographs of dog6, writes pictures and an adapter, and demo_lora renders from it',
  { skip: skipGolden || (!existsSync(PHOTOS) && `no photographs in ${PHOTOS}`) },
  async (t) => {
    const model = join(root, 'small-sd');
    mkdirSync(model);
    for (const part of ['vae', 'text_encoder', 'tokenizer', 'scheduler', 'model_index.json'])
      cpSync(golden('tiny-sd-random', part), join(model, part), { recursive: true });
    cpSync(golden('small-sd-random', 'unet'), join(model, 'unet'), { recursive: true });
    const dir = join(root, 'dog');
    const train = await diffengine([
      'train',
      'small_sd_dreambooth_lora_dog',
      '--work-dir',
      dir,
      '--cfg-options',
      `model.model=${model}`,
      `train_dataloader.dataset.dataset=${PHOTOS}`,
      'train_dataloader.batch_size=1',
      'train_dataloader.dataset.pipeline.0.size=256',
      'train_dataloader.dataset.pipeline.1.size=256',
      'train_dataloader.dataset.class_image.num_images=2',
      'train_dataloader.dataset.class_image.size=128',
      'train_dataloader.dataset.class_image.num_inference_steps=2',
      'train_cfg.max_iters=4',
      'custom_hooks.preview.interval=2',
      'custom_hooks.preview.num_inference_steps=2',
      'custom_hooks.preview.height=128',
      'custom_hooks.preview.width=128',
    ]);
    t.equal(train.code, 0, train.out);
    for (const file of [
      'vis/before.png',
      'vis/step1.png',
      'vis/step3.png',
      'step3/unet/adapter_config.json',
      'step3/unet/adapter_model.safetensors',
      'report.html',
    ])
      t.ok(existsSync(join(dir, file)), file);
    const render = await diffengine([
      'demo_lora',
      'A photo of sks dog in a bucket',
      join(dir, 'step3'),
      '--sdmodel',
      model,
      '--steps',
      '2',
      '--height',
      '128',
      '--width',
      '128',
      '--out',
      join(root, 'dog.png'),
    ]);
    t.equal(render.code, 0, render.out);
    t.strictSame(
      [...readFileSync(join(root, 'dog.png')).subarray(0, 8)],
      [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
      'a PNG file',
    );
  },
);
