/** Whole sampling trajectories with a stand-in for the U-Net, in both layouts of the reference folders. */
import { schedulerFromConfig } from '../../src/sampling/schedulers/from-config.js';
import { floats, type HostTensor } from '../../src/tensor/host.js';
import { toNumbers, type Golden } from './context.js';
import { fakeModel } from './fake-model.js';
import { LIMITS } from './limits.js';

interface Trajectory {
  readonly class: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** here, or a tensor of that name */
  readonly init_noise_sigma?: number;
}

/**
 * Runs are called `<name>/<steps>`. Either `<run>/latents` holds the start and the sample after each step, or `data/x0`
 * times the start's deviation is the start and `<run>/trajectory` what follows.
 */
export async function checkTrajectories(golden: Golden, file: string): Promise<void> {
  const reference = await golden.reference(file),
    has = (name: string): boolean => reference.entries.has(name);
  const { fake_model: formula, runs } = golden.meta<{ fake_model: string; runs: Record<string, Trajectory> }>(file);
  const model = fakeModel(formula);
  for (const [run, { class: className, config, init_noise_sigma }] of Object.entries(runs)) {
    const read = (name: string): Promise<HostTensor> => reference.read(`${run}/${name}`);
    const eta = /_eta([\d.]+)/.exec(run)?.[1]; // an argument of DDIM's step, not part of its config
    const scheduler = schedulerFromConfig(eta === undefined ? config : { ...config, eta: Number(eta) }, className);
    scheduler.setTimesteps(Number(run.split('/')[1]));
    const sigma = init_noise_sigma ?? floats(await read('init_noise_sigma'))[0];
    golden.report.rel(`${run}/timesteps`, scheduler.timesteps, toNumbers(await read('timesteps')), LIMITS.schedule);
    golden.report.rel(`${run}/init_noise_sigma`, [scheduler.initNoiseSigma], [sigma], LIMITS.schedule);
    const name = has(`${run}/latents`) ? 'latents' : 'trajectory',
      recorded = await read(name),
      expected = floats(recorded),
      size = expected.length / recorded.shape[0];
    const start =
      name === 'latents' ? expected.slice(0, size) : floats(await reference.read('data/x0')).map((v) => v * sigma);
    const noise = has(`${run}/noise`) ? floats(await read('noise')) : undefined;
    let x: Float32Array = start;
    const path = name === 'latents' ? [...start] : [];
    for (const [i, t] of scheduler.timesteps.entries()) {
      const prediction = scheduler.scaleModelInput(x, i).map((v) => model(v, t));
      x = scheduler.step(prediction, i, x, () => {
        if (!noise) throw new Error(`${run}: draws noise, and the reference recorded none`);
        return noise.slice(i * size, (i + 1) * size);
      });
      path.push(...x);
    }
    golden.report.rel(`${run}/${name}`, path, expected, LIMITS.trajectory);
  }
}
