/** Noise schedule and loss weights. */
import { weightedMse } from '../../src/models/losses/l2-loss.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import { debiasWeight, minSnrWeight } from '../../src/sampling/schedulers/snr.js';
import { float32, floats, type HostTensor } from '../../src/tensor/host.js';
import { input } from '../../src/tensor/tensor.js';
import { toNumbers, type Golden } from './context.js';
import { LIMITS } from './limits.js';
import { evaluate } from './networks.js';

/** The schedule of every reference file: scaled linear, 0.00085 to 0.012, 1000 steps. */
const SCHEDULE = new NoiseSchedule({
  beta_schedule: 'scaled_linear',
  beta_start: 0.00085,
  beta_end: 0.012,
  num_train_timesteps: 1000,
});

/** Applies a rule to each row of [N, ...] tensors. */
function perRow(rows: number, f: (row: number, cut: (t: HostTensor) => Float32Array) => Float32Array): number[] {
  return Array.from({ length: rows }, (_, r) =>
    Array.from(f(r, (t) => floats(t).slice((r * t.data.length) / rows, ((r + 1) * t.data.length) / rows))),
  ).flat();
}

export async function checkSchedule(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    read = (name: string): Promise<HostTensor> => reference.read(name);
  const [x0, noise, timesteps] = [await read('x0'), await read('noise'), toNumbers(await read('timesteps'))];
  const { report } = golden;
  report.rel('betas', SCHEDULE.betas, floats(await read('betas')), LIMITS.schedule);
  report.rel('alphas_cumprod', SCHEDULE.alphasCumprod, floats(await read('alphas_cumprod')), LIMITS.schedule);
  report.rel(
    'add_noise',
    perRow(timesteps.length, (r, cut) => SCHEDULE.addNoise(cut(x0), cut(noise), timesteps[r])),
    floats(await read('add_noise')),
    LIMITS.schedule,
  );
  report.rel(
    'get_velocity',
    perRow(timesteps.length, (r, cut) => SCHEDULE.velocity(cut(x0), cut(noise), timesteps[r])),
    floats(await read('get_velocity')),
    LIMITS.schedule,
  );
}

export async function checkLossWeights(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    snr = SCHEDULE.snr();
  for (const name of reference.entries.keys()) {
    if (name === 'timesteps' || name.startsWith('loss/')) continue;
    const expected = floats(await reference.read(name)),
      gamma = Number(/^gamma([\d.]+)\//.exec(name)?.[1]);
    const kind = name.includes('epsilon') ? 'epsilon' : name.includes('diffengine') ? 'diffengine' : 'diffusers';
    if (name === 'snr') golden.report.rel(name, snr, expected, LIMITS.schedule);
    else if (name.startsWith('gamma'))
      golden.report.rel(
        name,
        snr.map((s) => minSnrWeight(s, gamma, kind)),
        expected,
        LIMITS.schedule,
      );
    else if (name.startsWith('debias/'))
      golden.report.rel(
        name,
        snr.map((s) => debiasWeight(s, name.includes('v_pred') ? 'v_prediction' : 'epsilon')),
        expected,
        LIMITS.schedule,
      );
    else golden.report.missing(name);
  }
  const read = async (name: string): Promise<HostTensor> => reference.read(`loss/${name}`);
  const [x0, noise, prediction, timesteps] = [
    await read('x0'),
    await read('noise'),
    await read('model_pred'),
    toNumbers(await read('timesteps')),
  ];
  const rows = timesteps.length,
    velocity = perRow(rows, (r, cut) => SCHEDULE.velocity(cut(x0), cut(noise), timesteps[r]));
  golden.report.rel(
    'loss/noisy',
    perRow(rows, (r, cut) => SCHEDULE.addNoise(cut(x0), cut(noise), timesteps[r])),
    floats(await read('noisy')),
    LIMITS.schedule,
  );
  golden.report.rel('loss/v_target', velocity, floats(await read('v_target')), LIMITS.schedule);
  const loss = async (target: HostTensor, weights: number[]): Promise<Float32Array> => {
    const graph = weightedMse(input('p', prediction.shape), input('t', target.shape), input('w', [weights.length]), 1);
    return floats(
      (
        await evaluate(
          golden,
          file,
          { loss: graph },
          { p: prediction, t: target, w: float32(weights, [weights.length]) },
        )
      )['loss'],
    );
  };
  const target = { eps: noise, v: float32(velocity, noise.shape) };
  for (const name of [...reference.entries.keys()].filter(
    (n) => n.startsWith('loss/min_snr') || n.startsWith('loss/per_sample'),
  )) {
    const what = name.includes('_v') ? 'v' : 'eps',
      expected = floats(await reference.read(name));
    if (name.startsWith('loss/per_sample')) {
      const each = await Promise.all(
        timesteps.map(
          async (_, r) =>
            (
              await loss(
                target[what],
                timesteps.map((__, i) => (i === r ? rows : 0)),
              )
            )[0],
        ),
      );
      golden.report.rel(name, each, expected, LIMITS.loss);
    } else {
      const gamma = Number(/min_snr([\d.]+)_/.exec(name)?.[1]),
        kind = what === 'eps' ? 'epsilon' : name.includes('diffengine') ? 'diffengine' : 'diffusers';
      golden.report.rel(
        name,
        await loss(
          target[what],
          timesteps.map((t) => minSnrWeight(snr[t], gamma, kind)),
        ),
        expected,
        LIMITS.loss,
      );
    }
  }
}
