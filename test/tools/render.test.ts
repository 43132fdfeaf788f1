/** What a checkpoint holds is what demo_lora renders, whichever parts were trained and how. */
import { existsSync, readFileSync } from 'node:fs';
import t from 'tap';
import { Project, SMALL_CONFIG } from '../fixtures/tools/cli.js';

t.setTimeout(300_000);

const SIZE = 64,
  STEPS = 2,
  PROMPT = 'A photo of sks dog in a bucket';
const PREVIEW = `custom_hooks.preview={type: VisualizationHook, prompt: ${PROMPT}, height: ${SIZE}, width: ${SIZE}, num_inference_steps: ${STEPS}}`;
const TEXT_LORA = 'model.text_encoder_lora_config={type: LoRA, r: 2, target_modules: [q_proj]}',
  WHOLE_TEXT = 'model.finetune_text_encoder=true';

const PARTS: readonly { name: string; options: readonly string[] }[] = [
  { name: 'an adapter on the U-Net', options: [] },
  { name: 'adapters on both networks', options: [TEXT_LORA] },
  { name: 'an adapter on the U-Net and the whole text encoder', options: [WHOLE_TEXT] },
  { name: 'the whole U-Net and an adapter on the text encoder', options: ['model.unet_lora_config=null', TEXT_LORA] },
  { name: 'both networks whole', options: ['model.unet_lora_config=null', WHOLE_TEXT] },
];

for (const { name, options } of PARTS) {
  void t.test(`demo_lora renders the run's last picture again: ${name}`, async (t) => {
    const project = Project.create(t, { 'my.yaml': SMALL_CONFIG });
    const trained = await project.run([
      'train',
      'my.yaml',
      '--cfg-options',
      'optim_wrapper.optimizer.lr=0.01',
      PREVIEW,
      ...options,
    ]);
    t.equal(trained.code, 0, trained.err);
    const demo = [
      'demo_lora',
      PROMPT,
      'work_dirs/my',
      '--steps',
      String(STEPS),
      '--height',
      String(SIZE),
      '--width',
      String(SIZE),
      '--out',
      'demo.png',
    ];
    const rendered = await project.run(demo);
    t.equal(rendered.code, 0, rendered.err);
    const [before, after, again] = ['work_dirs/my/vis/before/0.png', 'work_dirs/my/vis/step1/0.png', 'demo.png'].map(
      (file) => readFileSync(project.file(file)),
    );
    t.notOk(after.equals(before), 'training changed the picture');
    t.ok(again.equals(after));
    if (!name.includes('adapter') || !name.includes('whole')) return;
    const merged = await project.run([
      'merge-lora',
      'package:assets/tiny-random-sd',
      'work_dirs/my',
      '--out',
      'merged',
    ]);
    t.equal(merged.code, 1);
    t.match(
      merged.err,
      new RegExp(
        `step1/${name.includes('whole text') ? 'text_encoder' : 'unet'}: all of this network was trained, an adapter cannot hold it;`,
      ),
    );
    t.notOk(existsSync(project.file('merged')));
  });
}
