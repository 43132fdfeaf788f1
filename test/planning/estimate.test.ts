/** What `train` says first. */
import t from 'tap';
import { estimateLines } from '../../src/planning/estimate.js';
import type { Plan } from '../../src/planning/plan.js';

const GIB = 2 ** 30;
const CONFIG = {
  train_cfg: { max_iters: 1000 },
  train_dataloader: { dataset: { class_prompt: 'a photo of dog', class_image: { num_images: 200 } } },
  custom_hooks: { preview: { type: 'VisualizationHook' }, peft: { type: 'PeftSaveHook' } },
};
const made = (seconds: Readonly<Record<string, number | undefined>>): Plan => {
  const phases = Object.entries(seconds).map(([phase, s]) => ({
    phase,
    flops: 1e12,
    ...(s !== undefined && { seconds: s }),
  }));
  const all = Object.values(seconds),
    total = all.includes(undefined) ? {} : { seconds: all.reduce<number>((n, s) => n + (s ?? 0), 0) };
  return { phases, total: { flops: 1e12 * phases.length, ...total }, memory: { peak: 13.5 * GIB } } as unknown as Plan;
};

void t.test('the estimate has parts, total, memory, and the options that save most, those first', (t) => {
  const days = made({ 'class pictures': 47 * 3600, training: 42 * 3600, 'validation pictures': 10 * 3600 });
  t.strictSame(estimateLines(days, CONFIG, 512, 24 * GIB), [
    'estimate   about 4.1 days on this machine, 13.5 GiB of 24.0 GiB memory',
    '           class pictures 47.0 h, training 42.0 h, validation pictures 10.0 h',
    '           less with: size=256 (about 3.1 days less)',
    '                      train_dataloader.dataset.class_prompt=null (about 2.8 days less)',
    '                      train_dataloader.dataset.class_image.num_images=50 (about 35.3 h less)',
  ]);
  t.end();
});

void t.test('short runs need no advice, and what was not measured has no time', (t) => {
  t.strictSame(estimateLines(made({ training: 40, encoding: 0.2 }), CONFIG, undefined, 24 * GIB), [
    'estimate   about 40 s on this machine, 13.5 GiB of 24.0 GiB memory',
    '           training 40 s, encoding 200 ms',
  ]);
  t.strictSame(estimateLines(made({ training: undefined }), CONFIG, undefined, 24 * GIB), [
    'estimate   1.00 T operations (diffengine plan foretells how long they take), 13.5 GiB of 24.0 GiB memory',
    '           training 1.00 T',
  ]);
  t.end();
});
