import t from 'tap';
import { readJson } from '../../src/formats/read-json.js';
import { schedulerFromConfig } from '../../src/sampling/schedulers/from-config.js';
import { NoiseSchedule } from '../../src/sampling/schedulers/noise-schedule.js';
import type { Scheduler } from '../../src/sampling/schedulers/scheduler.js';
import { debiasWeight, minSnrWeight } from '../../src/sampling/schedulers/snr.js';
import { openSafetensors } from '../../src/formats/safetensors/safetensors.js';
import { golden, relativeError, skipGolden } from '../golden.js';

const STABLE_DIFFUSION = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: 'scaled_linear' };

/** Float32 values of a tensor of the references; timesteps are int64 there. */
async function reader(file: string): Promise<{ names: string[]; read(name: string): Promise<number[]> }> {
  const weights = await openSafetensors(golden('reference', file));
  return {
    names: [...weights.entries.keys()],
    read: async (name) => Array.from((await weights.read(name)).data, Number),
  };
}

void t.test(
  'noise schedule: betas, alphas, noisy latents and velocities of diffusers',
  { skip: skipGolden },
  async (t) => {
    const { read } = await reader('scheduler_basics.safetensors');
    const schedule = new NoiseSchedule(STABLE_DIFFUSION);
    t.ok(relativeError(schedule.betas, await read('betas')) < 1e-6);
    t.ok(relativeError(schedule.alphasCumprod, await read('alphas_cumprod')) < 1e-6);
    const [x0, noise, timesteps] = [await read('x0'), await read('noise'), await read('timesteps')];
    const size = x0.length / timesteps.length;
    const each = (sample: (x: Float32Array, n: Float32Array, step: number) => Float32Array): number[] =>
      timesteps.flatMap((step, i) => {
        const part = (values: number[]): Float32Array => Float32Array.from(values.slice(i * size, (i + 1) * size));
        return [...sample(part(x0), part(noise), step)];
      });
    t.ok(
      relativeError(
        each((x, n, step) => schedule.addNoise(x, n, step)),
        await read('add_noise'),
      ) < 1e-6,
    );
    t.ok(
      relativeError(
        each((x, n, step) => schedule.velocity(x, n, step)),
        await read('get_velocity'),
      ) < 1e-6,
    );
  },
);

void t.test('signal-to-noise weights of every timestep', { skip: skipGolden }, async (t) => {
  const { names, read } = await reader('min_snr.safetensors');
  const snr = new NoiseSchedule(STABLE_DIFFUSION).snr();
  t.ok(relativeError(snr, await read('snr')) < 1e-6);
  for (const gamma of [1, 5, 20]) {
    for (const [title, kind] of [
      ['epsilon: min(snr,g)/snr', 'epsilon'],
      ['v_pred diffusers: min(snr,g)/(snr+1)', 'diffusers'],
      ['v_pred diffengine: min(snr+1,g)/(snr+1)', 'diffengine'],
    ] as const) {
      const name = `gamma${gamma}/${title}`;
      t.ok(names.includes(name));
      t.ok(
        relativeError(
          snr.map((s) => minSnrWeight(s, gamma, kind)),
          await read(name),
        ) < 1e-6,
        name,
      );
    }
  }
  t.ok(
    relativeError(
      snr.map((s) => debiasWeight(s, 'epsilon')),
      await read('debias/epsilon: 1/sqrt(snr)'),
    ) < 1e-6,
  );
  t.ok(
    relativeError(
      snr.map((s) => debiasWeight(s, 'v_prediction')),
      await read('debias/v_pred: 1/sqrt(snr+1)'),
    ) < 1e-6,
  );
});

interface Run {
  class: string;
  config: Record<string, unknown>;
  init_noise_sigma: number;
  noise_used_at_steps: number[];
}

/** The stand-in for a U-Net: `a*x_in + b*(t/1000)` or `a*tanh(x_in) + b*(t/1000)`. */
function fakeModel(formula: string): (x: Float32Array, timestep: number) => Float32Array {
  const [, a, tanh, b] = /([\d.e+-]+)\*(tanh\()?x_in\)? \+ ([\d.e+-]+)\*\(t\/1000\)/.exec(formula) ?? [];
  return (x, timestep) =>
    x.map((value) => Number(a) * (tanh ? Math.tanh(value) : value) + Number(b) * (timestep / 1000));
}

/** Samples after each step, from the recorded start and with the recorded noise. */
function trajectory(
  scheduler: Scheduler,
  steps: number,
  model: (x: Float32Array, t: number) => Float32Array,
  start: number[],
  noise: readonly number[],
): { all: number[]; noiseAt: number[] } {
  scheduler.setTimesteps(steps);
  let sample = Float32Array.from(start);
  const all = [...sample],
    noiseAt: number[] = [];
  scheduler.timesteps.forEach((timestep, i) => {
    const output = model(scheduler.scaleModelInput(sample, i), timestep);
    sample = Float32Array.from(
      scheduler.step(output, i, sample, () => {
        noiseAt.push(i);
        return Float32Array.from(noise.slice(i * start.length, (i + 1) * start.length));
      }),
    );
    all.push(...sample);
  });
  return { all, noiseAt };
}

void t.test('schedulers: every trajectory of diffusers', { skip: skipGolden }, async (t) => {
  const { names, read } = await reader('scheduler_trajectories.safetensors');
  const index = (await readJson(golden('reference', 'index.json'), 'it lists the runs')) as Record<
    string,
    { meta: { fake_model: string; runs: Record<string, Run> } }
  >;
  const { fake_model, runs } = index['scheduler_trajectories.safetensors'].meta;
  const model = fakeModel(fake_model);
  t.ok(Object.keys(runs).length > 0);
  for (const [name, run] of Object.entries(runs)) {
    const eta = Number(/_eta([\d.]+)/.exec(name)?.[1] ?? 0),
      steps = Number(name.split('/')[1]);
    const scheduler = schedulerFromConfig({ ...run.config, eta }, run.class);
    scheduler.setTimesteps(3); // forgotten by the next plan
    scheduler.step(Float32Array.of(1), 0, Float32Array.of(1), () => Float32Array.of(1));
    const expected = await read(`${name}/latents`),
      noise = names.includes(`${name}/noise`) ? await read(`${name}/noise`) : [];
    const timesteps = await read(`${name}/timesteps`);
    const { all, noiseAt } = trajectory(
      scheduler,
      steps,
      model,
      expected.slice(0, expected.length / (timesteps.length + 1)),
      noise,
    );
    t.ok(relativeError(scheduler.timesteps, timesteps) < 1e-6, `${name} timesteps`);
    t.ok(Math.abs(scheduler.initNoiseSigma / run.init_noise_sigma - 1) < 1e-6, `${name} start noise`);
    const error = relativeError(all, expected);
    t.ok(error < 2e-5, `${name} latents: ${error.toExponential(1)}`);
    t.strictSame(noiseAt, run.noise_used_at_steps, `${name} draws noise at the same steps`);
  }
});

const timestepsOf = (config: Record<string, unknown>, steps: number, className: string): number[] => {
  const scheduler = schedulerFromConfig({ ...STABLE_DIFFUSION, ...config }, className);
  scheduler.setTimesteps(steps);
  return scheduler.timesteps;
};

void t.test('schedulers: without timestep_spacing each class takes its own', async (t) => {
  t.strictSame(timestepsOf({ steps_offset: 1 }, 4, 'DDIMScheduler'), [751, 501, 251, 1]);
  t.strictSame(timestepsOf({ steps_offset: 1 }, 4, 'DDPMScheduler'), [751, 501, 251, 1]);
  t.strictSame(
    timestepsOf({ steps_offset: 1, skip_prk_steps: true }, 4, 'PNDMScheduler'),
    [751, 501, 501, 251, 1],
    'one timestep twice',
  );
  t.strictSame(timestepsOf({}, 4, 'EulerDiscreteScheduler'), [999, 666, 333, 0]);
  t.strictSame(timestepsOf({}, 4, 'EulerAncestralDiscreteScheduler'), [999, 666, 333, 0]);
  t.strictSame(timestepsOf({}, 4, 'DPMSolverMultistepScheduler'), [999, 749, 500, 250]);
});

void t.test('schedulers: the three spacings', async (t) => {
  t.strictSame(timestepsOf({ timestep_spacing: 'trailing' }, 4, 'DDIMScheduler'), [999, 749, 499, 249]);
  t.strictSame(
    timestepsOf({ timestep_spacing: 'linspace' }, 3, 'DDIMScheduler'),
    [999, 500, 0],
    '499.5 rounds to even',
  );
  t.strictSame(timestepsOf({ timestep_spacing: 'leading' }, 3, 'DDIMScheduler'), [666, 333, 0]);
  for (const name of ['DDIMScheduler', 'PNDMScheduler', 'EulerDiscreteScheduler'])
    t.equal(timestepsOf({ timestep_spacing: 'trailing' }, 1, name).length, 1, `${name}: one step`);
});

void t.test('schedulers: sampling with a perfect model finds the picture', async (t) => {
  const picture = Float32Array.of(0.5, -1.5, 0),
    noise = Float32Array.of(1, -0.25, 2);
  for (const name of ['DDIMScheduler', 'PNDMScheduler', 'EulerDiscreteScheduler', 'DPMSolverMultistepScheduler']) {
    const scheduler = schedulerFromConfig({ ...STABLE_DIFFUSION, set_alpha_to_one: true }, name);
    scheduler.setTimesteps(8);
    const schedule = new NoiseSchedule(STABLE_DIFFUSION),
      first = scheduler.timesteps[0];
    const scale = scheduler.initNoiseSigma > 1 ? 1 / Math.sqrt(schedule.alphasCumprod[first]) : 1; // Euler counts x / sqrt(a)
    let sample = schedule.addNoise(picture, noise, first).map((x) => x * scale);
    scheduler.timesteps.forEach((_, i) => {
      sample = Float32Array.from(scheduler.step(noise, i, sample, () => noise));
    });
    t.ok(relativeError(sample, picture) < 1e-3, `${name}: ${[...sample].join(', ')}`);
  }
});

void t.test('schedulers: clip_sample limits the predicted picture', async (t) => {
  for (const name of ['DDIMScheduler', 'DDPMScheduler']) {
    const last = (config: Record<string, unknown>): number => {
      const scheduler = schedulerFromConfig({ ...STABLE_DIFFUSION, set_alpha_to_one: true, ...config }, name);
      scheduler.setTimesteps(1);
      return scheduler.step(Float32Array.of(0), 0, Float32Array.of(5), () => Float32Array.of(0))[0];
    };
    t.ok(Math.abs(last({}) - 5) < 0.01, `${name} does not clip by itself`);
    t.equal(last({ clip_sample: true }), 1);
    t.equal(last({ clip_sample: true, clip_sample_range: 3 }), 3);
  }
});

void t.test('schedulers: what we cannot follow is refused by name', async (t) => {
  const build =
    (config: Record<string, unknown>, name = 'DDIMScheduler') =>
    () =>
      schedulerFromConfig(config, name);
  t.throws(build({}, 'DDIMSheduler'), {
    name: 'UserError',
    message: 'scheduler.type: unknown scheduler "DDIMSheduler"; did you mean "DDIMScheduler"?',
  });
  t.throws(() => schedulerFromConfig({ _class_name: 'HeunDiscreteScheduler' }), {
    name: 'UserError',
    message: /unknown scheduler "HeunDiscreteScheduler"; did you mean "EulerDiscreteScheduler"\?/,
  });
  t.throws(build({ prediction_type: 'sample' }), {
    name: 'UserError',
    message: /scheduler\.prediction_type: "sample" is not one of "epsilon", "v_prediction"/,
  });
  t.throws(build({ beta_schedule: 'sigmoid' }), {
    name: 'UserError',
    message: /scheduler\.beta_schedule: "sigmoid" is not one of/,
  });
  t.throws(build({ rescale_betas_zero_snr: true }), {
    name: 'UserError',
    message: /rescale_betas_zero_snr true is not supported/,
  });
  t.throws(build({ trained_betas: [0.1] }), { name: 'UserError', message: /trained_betas \[0\.1\] is not supported/ });
  t.throws(build({ lambda_min_clipped: -5.1 }, 'DPMSolverMultistepScheduler'), {
    name: 'UserError',
    message: /lambda_min_clipped -5\.1 is not supported/,
  });
  t.throws(build({ steps_offset: '1' }), {
    name: 'UserError',
    message: 'scheduler.steps_offset: expected integer, got "1"',
  });
  t.throws(build({ solver_order: 3 }, 'DPMSolverMultistepScheduler'), {
    name: 'UserError',
    message: /scheduler\.solver_order: 3 must be <= 2/,
  });
  t.throws(build({ skip_prk_steps: false }, 'PNDMScheduler'), {
    name: 'UserError',
    message: /scheduler\.skip_prk_steps: false must be true/,
  });
  t.doesNotThrow(build({ lambda_min_clipped: -Infinity }, 'DPMSolverMultistepScheduler'), 'no limit');
  t.doesNotThrow(
    build({ skip_prk_steps: false, solver_order: 3, trained_betas: null }),
    'fields of other classes do not matter',
  );
  for (const steps of [0, 1.5, 1001])
    t.throws(() => timestepsOf({}, steps, 'DDIMScheduler'), {
      name: 'UserError',
      message: /the number of sampling steps is a whole number from 1 to 1000/,
    });
});

void t.test('schedulers: as many steps as timesteps, where that is possible', async (t) => {
  t.strictSame(timestepsOf({}, 1000, 'DDPMScheduler').slice(0, 2), [999, 998]);
  t.strictSame(timestepsOf({ steps_offset: 1 }, 999, 'DDPMScheduler').slice(0, 2), [999, 998]);
  for (const name of ['DDIMScheduler', 'DDPMScheduler', 'PNDMScheduler']) {
    t.throws(() => timestepsOf({ steps_offset: 1 }, 1000, name), {
      name: 'UserError',
      message:
        'steps: with steps_offset 1 the first would be timestep 1000, but 999 is the last of training; use fewer steps',
    });
  }
  t.throws(() => timestepsOf({}, 1000, 'DPMSolverMultistepScheduler'), {
    name: 'UserError',
    message: 'steps: 1000; the number of sampling steps is a whole number from 1 to 999',
  });
  t.equal(timestepsOf({ timestep_spacing: 'trailing' }, 1000, 'DPMSolverMultistepScheduler')[0], 999);
});

void t.test("schedulers: Python's -Infinity in a scheduler_config.json reads as not given", async (t) => {
  const folder = t.testdir({
    'scheduler_config.json':
      '{"_class_name": "DPMSolverMultistepScheduler", "lambda_min_clipped": -Infinity, "solver_order": 1}',
  });
  const scheduler = schedulerFromConfig(await readJson(`${folder}/scheduler_config.json`, ''));
  t.equal(scheduler.constructor.name, 'DPMSolverMultistepScheduler');
});

void t.test('noise schedule: other betas, and values it cannot follow', async (t) => {
  t.strictSame(
    [...new NoiseSchedule({ num_train_timesteps: 3, beta_start: 0.25, beta_end: 0.75 }).betas],
    [0.25, 0.5, 0.75],
    'linear by default',
  );
  const { betas, alphasCumprod } = new NoiseSchedule({ num_train_timesteps: 1000, beta_schedule: 'squaredcos_cap_v2' });
  t.equal(betas[999], Math.fround(0.999), 'cosine, capped');
  t.ok(Math.abs(alphasCumprod[499] - 0.4938) < 1e-3, String(alphasCumprod[499]));
  t.throws(() => new NoiseSchedule({ beta_start: 'x' }), {
    name: 'UserError',
    message: 'scheduler_config.json: beta_start is "x"; it must be a number',
  });
  t.throws(() => new NoiseSchedule({ num_train_timesteps: 0 }), {
    name: 'UserError',
    message: /num_train_timesteps is 0/,
  });
  t.throws(() => new NoiseSchedule({ prediction_type: 'sample' }), {
    name: 'UserError',
    message: 'scheduler_config.json: prediction_type "sample" is not supported; use epsilon, v_prediction',
  });
  t.throws(
    () => new NoiseSchedule({}).addNoise(Float32Array.of(1), Float32Array.of(1), 1000),
    /timestep 1000: not from 0 to 999/,
  );
});
