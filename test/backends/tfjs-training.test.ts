/** A whole training run on TensorFlow.js against the same run on ONNX Runtime, from the command line to the adapter. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { floats } from '../../src/tensor/host.js';
import { Project } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

/** 4x4 latents, one picture a step: plain JavaScript is slow. */
const SMALL = [
  'train_cfg.max_iters=20',
  'train_dataloader.batch_size=1',
  'train_dataloader.dataset.class_prompt=null',
  'custom_hooks.preview=null',
  'train_dataloader.dataset.pipeline=[{type: Resize, size: 32}, {type: RandomCrop, size: 32}, {type: ToTensor}, {type: Normalize, mean: [0.5], std: [0.5]}, {type: PackInputs}]',
];

/**
 * Self-attention at 1x1: the softmax of one token is 1 whatever its query and key are, so their gradient is zero but for
 * rounding, which Adam scales up to whole steps.
 */
const ROUNDING = /(down_blocks\.2|mid_block|up_blocks\.1)\..*\.attn1\.to_[qk]\./;

void t.test('20 LoRA steps on TensorFlow.js give the losses and the adapter of ONNX Runtime', async (t) => {
  const project = Project.create(t, {});
  const train = async (backend: string): Promise<string> => {
    const { code, out, err } = await project.run([
      'train',
      'tiny_random_sd_dreambooth_lora_dog',
      '--backend',
      backend,
      '--work-dir',
      backend,
      '--cfg-options',
      ...SMALL,
    ]);
    t.equal(code, 0, err); // TensorFlow says on standard error how it was built
    return out;
  };
  t.match(await train('tfjs'), /computing {2}with TensorFlow.*\n.*, on tfjs (cpu|tensorflow)\n/);
  await train('onnxruntime');

  const losses = (backend: string): number[] =>
    readFileSync(project.file(`${backend}/log.jsonl`), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { loss: number }).loss);
  const [got, wanted] = [losses('tfjs'), losses('onnxruntime')];
  t.equal(got.length, 20);
  const worstLoss = Math.max(...wanted.map((loss, i) => Math.abs(got[i] - loss) / loss));
  t.ok(worstLoss < 1e-5, `losses differ by ${worstLoss} of their size`);

  const config = (backend: string): string =>
    readFileSync(project.file(`${backend}/step19/unet/adapter_config.json`), 'utf8');
  t.equal(config('tfjs'), config('onnxruntime'));
  const open = (backend: string) => openSafetensors(project.file(`${backend}/step19/unet/adapter_model.safetensors`));
  const [ours, theirs] = [await open('tfjs'), await open('onnxruntime')];
  t.strictSame([...ours.entries.keys()], [...theirs.entries.keys()]);
  let worst = 0,
    moved = 0;
  for (const name of theirs.entries.keys()) {
    const [a, b] = [floats(await ours.read(name)), floats(await theirs.read(name))];
    if (ROUNDING.test(name)) continue;
    b.forEach((v, i) => {
      worst = Math.max(worst, Math.abs(v - a[i]));
    });
    if (name.includes('lora_B')) moved = Math.max(moved, ...b.map(Math.abs)); // starts at zero
  }
  t.ok(moved > 1e-3, `training moved the adapter by ${moved}`);
  t.ok(worst < 1e-5, `the adapters differ by ${worst}`);
});
