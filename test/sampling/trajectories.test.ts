import t from 'tap';
import { readJson } from '../../src/formats/read-json.js';
import { schedulerFromConfig } from '../../src/sampling/schedulers/from-config.js';
import { SCHEDULERS } from '../../src/sampling/schedulers/scheduler.js';
import { relativeError } from '../golden.js';

type Run = [
  className: string,
  steps: number,
  config: Record<string, unknown>,
  sigma: number,
  timesteps: number[],
  sample: number[],
];
interface Fixture {
  config: Record<string, unknown>;
  start: number[];
  runs: Run[];
}

const TRAINED_BETAS = Array.from({ length: 500 }, (_, i) => 0.001 + 0.00002 * i);

void t.test('schedulers: 238 runs of diffusers, over the values of all fields of all classes', async (t) => {
  const { config, start, runs } = (await readJson(
    'test/fixtures/sampling/diffusers-trajectories.json',
    'a fixture',
  )) as unknown as Fixture;
  t.equal(runs.length, 238);
  const classes = new Set(runs.map(([className]) => className));
  t.strictSame([...classes].sort(), SCHEDULERS.names(), 'every class is there');
  for (const [className, steps, own, sigma, timesteps, expected] of runs) {
    const label = `${className} ${steps} ${JSON.stringify(own)}`;
    const betas = own['trained_betas'] === undefined ? {} : { trained_betas: TRAINED_BETAS };
    const scheduler = schedulerFromConfig({ ...config, ...own, ...betas }, className);
    scheduler.setTimesteps(steps);
    t.ok(Math.abs(scheduler.initNoiseSigma / sigma - 1) < 1e-6, `${label}: start noise`);
    t.ok(relativeError(scheduler.timesteps, timesteps) < 1e-6, `${label}: timesteps`);
    let sample: Float32Array = Float32Array.from(start, (v) => Math.fround(v) * scheduler.initNoiseSigma),
      draws = 0;
    for (const [i, timestep] of scheduler.timesteps.entries()) {
      const output = scheduler.scaleModelInput(sample, i).map((x) => 0.8 * Math.tanh(x) - 0.05 * (timestep / 1000));
      sample = scheduler.step(output, i, sample, () => {
        const draw = draws++;
        return Float32Array.from(start, (_, k) => 1.3 * Math.cos(1.7 * draw + 0.9 * k));
      });
    }
    const error = relativeError(sample, expected);
    t.ok(error < 2e-5, `${label}: ${error.toExponential(1)}`);
  }
});
