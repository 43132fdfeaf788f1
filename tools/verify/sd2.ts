/** The layout of Stable Diffusion 2.x: heads per level, linear projections, gelu in the text encoder, v prediction. */
import { join } from 'node:path';
import { clipText, parseClipTextConfig } from '../../src/networks/clip-text.js';
import { Scope } from '../../src/networks/layers/scope.js';
import { unet } from '../../src/networks/unet.js';
import { parseUNetConfig } from '../../src/networks/unet-config.js';
import { FrozenSource } from '../../src/formats/frozen-source.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { readPythonJson, toInt32, toNumbers, type Golden } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

/** @param kind name of the reference file and of the folder with the components */
export async function checkStableDiffusion2(golden: Golden, file: string, kind: string): Promise<void> {
  const reference = await golden.reference(file),
    read = (name: string): Promise<HostTensor> => reference.read(name);
  const folder = (part: string): string => join(golden.folder, kind, part);
  const textConfig = parseClipTextConfig(
    readPythonJson(join(folder('text_encoder'), 'config.json')),
    folder('text_encoder'),
  );
  const textSource = new FrozenSource(
    await openSafetensors(join(folder('text_encoder'), 'model.safetensors')),
    (name) => name.replace(/^text_model\./, ''), // transformers 5.6 and later leave this level out
  );
  const ids = toInt32(await read('data/input_ids'));
  const { lastHiddenState } = clipText(new Scope(textSource), input('ids', ids.shape, 'int32'), textConfig);
  const { states } = await evaluate(golden, file, { states: lastHiddenState }, { ids });
  golden.report.rel(
    'text/last_hidden_state',
    floats(states),
    floats(await read('text/last_hidden_state')),
    LIMITS.network,
  );

  const unetConfig = parseUNetConfig(readPythonJson(join(folder('unet'), 'config.json')), folder('unet'));
  const unetSource = new FrozenSource(
    await openSafetensors(join(folder('unet'), 'diffusion_pytorch_model.safetensors')),
  );
  const plain = readPythonJson(join(folder('scheduler'), 'scheduler_config.json'));
  const [x, noise, timesteps] = [
    await read('data/x'),
    await read('data/noise'),
    toNumbers(await read('data/timesteps')),
  ];
  const size = x.data.length / timesteps.length,
    cut = (t: HostTensor, row: number): Float32Array => floats(t).slice(row * size, (row + 1) * size);
  for (const [name, config] of [
    ['plain', { ...plain, rescale_betas_zero_snr: false }],
    ['zero_snr', { ...plain, rescale_betas_zero_snr: true }],
  ] as const) {
    const schedule = new NoiseSchedule(config);
    if (reference.entries.has(`${name}/alphas_cumprod`))
      golden.report.rel(
        `${name}/alphas_cumprod`,
        schedule.alphasCumprod,
        floats(await read(`${name}/alphas_cumprod`)),
        LIMITS.schedule,
      );
    const noisy = timesteps.flatMap((t, row) => [...schedule.addNoise(cut(x, row), cut(noise, row), t)]);
    const velocity = timesteps.flatMap((t, row) => [...schedule.velocity(cut(x, row), cut(noise, row), t)]);
    golden.report.rel(`${name}/noisy`, noisy, floats(await read(`${name}/noisy`)), LIMITS.schedule);
    golden.report.rel(`${name}/velocity`, velocity, floats(await read(`${name}/velocity`)), LIMITS.schedule);
    const feeds = { sample: float32(noisy, x.shape), timesteps: float32(timesteps, [timesteps.length]), text: states };
    const { out } = unet(
      new Scope(unetSource),
      {
        sample: input('sample', x.shape),
        timesteps: input('timesteps', [timesteps.length]),
        encoderHiddenStates: input('text', states.shape),
      },
      unetConfig,
    );
    const result = await evaluate(golden, file, { out }, feeds);
    golden.report.rel(`${name}/out`, floats(result['out']), floats(await read(`${name}/out`)), LIMITS.network);
  }
}
