import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { nextCommands } from '../../tools/next-commands.js';

const DATASET = {
  instance_prompt: "my dog's photo",
  pipeline: [{ type: 'Resize', size: 64 }, { type: 'CenterCrop', size: 48 }, { type: 'ToTensor' }],
};
const PREVIEW = { type: 'VisualizationHook', prompt: 'a dog', height: 96, width: 32, num_inference_steps: 5 };

/** The line that draws, of a run of these hooks. */
async function drawing(t: Test, custom_hooks: object): Promise<string | undefined> {
  const checkpoint = join(t.testdir({}), 'step1');
  mkdirSync(join(checkpoint, 'unet'), { recursive: true });
  const config = { model: {}, train_dataloader: { dataset: DATASET }, train_cfg: { max_iters: 2 }, custom_hooks };
  writeFileSync(join(checkpoint, 'run.json'), JSON.stringify({ config }));
  const none = { options: [], cfgOptions: [], best: undefined };
  const lines = await nextCommands({ config: 'my.ts', workDir: checkpoint, checkpoint, ...none });
  return lines.find((line) => line.includes('demo_lora'))?.replace(/\S+step1/, 'step1');
}

void t.test(
  'what a run ends with draws as its preview did, or as large as the pictures that it learnt from',
  async (t) => {
    const command = (size: string): string =>
      `  npx diffengine demo_lora "my dog's photo on the beach" step1 ${size} --out beach.png`;
    t.equal(await drawing(t, { preview: PREVIEW }), command('--steps 5 --height 96 --width 32'));
    t.equal(await drawing(t, { preview: null }), command('--height 48 --width 48'));
  },
);
