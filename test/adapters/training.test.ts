import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import t from 'tap';
import { loadPipeline } from '../../src/library/load-pipeline.js';
import { train } from '../../src/library/train.js';

const MODEL = 'package:assets/tiny-random-sd';
/** Both networks, linear layers and convolutions. */
const kind = (type: string, options: Record<string, unknown>): Record<string, unknown> => ({
  'model.unet_lora_config': {
    _delete_: true,
    type,
    ...options,
    target_modules: ['to_q', 'to_v', 'conv1', 'proj_in'],
  },
  'model.text_encoder_lora_config': { _delete_: true, type, ...options, target_modules: ['q_proj', 'fc1'] },
});
const KINDS: readonly (readonly [string, Record<string, unknown>])[] = [
  ['DoRA that starts as PiSSA', kind('LoRA', { r: 2, use_dora: true, init_lora_weights: 'pissa' })],
  ['LoHa', kind('LoHa', { r: 2, use_effective_conv2d: true })],
  ['LoKr on a U-Net in 8 bits', { ...kind('LoKr', { r: 1 }), 'model.base_precision': 'int8' }],
  ['OFT', kind('OFT', { oft_block_size: 4 })],
];

for (const [name, options] of KINDS)
  void t.test(
    `${name}: a run that stops and goes on makes the same adapter, byte for byte, and it draws`,
    async (t) => {
      const dir = t.testdir();
      const run = async (workDir: string, iters: number, resume: boolean): Promise<Buffer[]> => {
        const { checkpoint } = await train('tiny_random_sd_dreambooth_lora_dog', {
          workDir: join(dir, workDir),
          resume,
          options: {
            ...options,
            'train_cfg.max_iters': iters,
            'custom_hooks.preview': null,
            'train_dataloader.dataset.class_prompt': null,
            'train_dataloader.dataset.class_image': null,
          },
        });
        return Promise.all(
          ['unet', 'text_encoder'].map((part) =>
            readFile(join(checkpoint as string, part, 'adapter_model.safetensors')),
          ),
        );
      };
      const whole = await run('whole', 3, false);
      await run('parts', 1, false);
      const parts = await run('parts', 3, true);
      for (const [i, bytes] of whole.entries()) t.ok(bytes.equals(parts[i]), i === 0 ? 'U-Net' : 'text encoder');

      const pipeline = await loadPipeline(MODEL);
      const draw = async (): Promise<Uint8Array> =>
        (await pipeline.draw({ prompt: 'a photo of sks dog', seed: 1, steps: 2, height: 64, width: 64 })).data;
      const before = await draw();
      await pipeline.loadAdapter(join(dir, 'whole'), { scale: 1 });
      const adapted = await draw();
      t.notSame(Buffer.from(adapted), Buffer.from(before), 'the adapter changes the picture');
      await pipeline.dispose();
    },
  );
