import t from 'tap';
import { readJson } from '../../src/formats/read-json.js';
import { betaQuantile } from '../../src/sampling/schedulers/beta-quantile.js';
import { schedulerFromConfig, unknownFields } from '../../src/sampling/schedulers/from-config.js';
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
    t.equal(
      timestepsOf({ timestep_spacing: 'trailing', skip_prk_steps: true }, 1, name).length,
      1,
      `${name}: one step`,
    );
});

void t.test('schedulers: sampling with a perfect model finds the picture', async (t) => {
  const picture = Float32Array.of(0.5, -1.5, 0),
    noise = Float32Array.of(1, -0.25, 2);
  for (const name of ['DDIMScheduler', 'PNDMScheduler', 'EulerDiscreteScheduler', 'DPMSolverMultistepScheduler']) {
    const scheduler = schedulerFromConfig({ ...STABLE_DIFFUSION, set_alpha_to_one: true, skip_prk_steps: true }, name);
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
  const FIELD = ' (for DDIMScheduler; scheduler can name another scheduler)';
  t.throws(build({}, 'DDIMSheduler'), {
    name: 'UserError',
    message: 'scheduler: unknown scheduler "DDIMSheduler"; did you mean "DDIMScheduler"?',
  });
  t.throws(() => schedulerFromConfig({ _class_name: 'DPMSolverSDEScheduler' }), {
    name: 'UserError',
    message:
      'scheduler_config.json: _class_name "DPMSolverSDEScheduler" is not supported; set scheduler to one that is: DDIMScheduler, DDPMScheduler, DEISMultistepScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, KDPM2AncestralDiscreteScheduler, KDPM2DiscreteScheduler, LCMScheduler, LMSDiscreteScheduler, PNDMScheduler, UniPCMultistepScheduler',
  });
  const refused: [config: Record<string, unknown>, name: string, message: string][] = [
    [
      { prediction_type: 'flow_prediction' },
      'DDIMScheduler',
      'prediction_type: "flow_prediction" is not one of "epsilon", "v_prediction", "sample"',
    ],
    [
      { prediction_type: 'sample' },
      'PNDMScheduler',
      'prediction_type: "sample" is not one of "epsilon", "v_prediction"',
    ],
    [
      { beta_schedule: 'sigmoid' },
      'DDIMScheduler',
      'beta_schedule: "sigmoid" is not one of "linear", "scaled_linear", "squaredcos_cap_v2"',
    ],
    [
      { trained_betas: [0.1] },
      'DDIMScheduler',
      'trained_betas has 1 values and num_train_timesteps is 1000; there must be one for each',
    ],
    [{ steps_offset: '1' }, 'DDIMScheduler', 'steps_offset: expected integer, got "1"'],
    [{ solver_order: 4 }, 'DPMSolverMultistepScheduler', 'solver_order: 4 must be <= 3'],
    [{ use_flow_sigmas: true }, 'UniPCMultistepScheduler', 'use_flow_sigmas: true must be false'],
    [{ use_dynamic_shifting: true }, 'DEISMultistepScheduler', 'use_dynamic_shifting: true must be false'],
    [{ solver_p: {} }, 'UniPCMultistepScheduler', 'solver_p: expected null, got {}'],
    [
      { variance_type: 'learned_range' },
      'DDPMScheduler',
      'variance_type: "learned_range" is not one of "fixed_small", "fixed_small_log", "fixed_large"',
    ],
    [
      { variance_type: 'learned' },
      'DPMSolverMultistepScheduler',
      'variance_type: "learned" is not one of "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"',
    ],
    [
      { use_karras_sigmas: true, use_beta_sigmas: true },
      'EulerDiscreteScheduler',
      'use_karras_sigmas and use_beta_sigmas are both on; set all but one to false',
    ],
    [
      { algorithm_type: 'dpmsolver' },
      'DPMSolverMultistepScheduler',
      'final_sigmas_type: "zero" cannot be reached with algorithm_type "dpmsolver"; set final_sigmas_type to "sigma_min", or algorithm_type to "dpmsolver++"',
    ],
    [
      { algorithm_type: 'sde-dpmsolver', solver_order: 3, final_sigmas_type: 'sigma_min' },
      'DPMSolverMultistepScheduler',
      'solver_order: 3 is not defined for algorithm_type "sde-dpmsolver"; use 2, or "sde-dpmsolver++"',
    ],
    [
      { lower_order_final: false },
      'UniPCMultistepScheduler',
      'final_sigmas_type: "zero" cannot be reached with lower_order_final false; set final_sigmas_type to "sigma_min", or lower_order_final to true',
    ],
    [
      { original_inference_steps: 2000 },
      'LCMScheduler',
      'original_inference_steps: 2000 is more than num_train_timesteps, which is 1000; lower it',
    ],
  ];
  for (const [config, name, message] of refused)
    t.throws(build(config, name), {
      name: 'UserError',
      message: `scheduler_config.json: ${message}${FIELD.replace('DDIMScheduler', name)}`,
    });
  t.doesNotThrow(build({ lambda_min_clipped: -Infinity }, 'DPMSolverMultistepScheduler'), 'no limit');
  t.doesNotThrow(
    build({ solver_order: 7, use_flow_sigmas: true, trained_betas: null }),
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
  t.throws(() => new NoiseSchedule({ prediction_type: 'flow_prediction' }), {
    name: 'UserError',
    message:
      'scheduler_config.json: prediction_type "flow_prediction" is not supported; use epsilon, v_prediction, sample',
  });
  t.throws(() => new NoiseSchedule({ trained_betas: [0.5, 2], num_train_timesteps: 2 }), {
    name: 'UserError',
    message: 'scheduler_config.json: trained_betas is [0.5,2]; it must be a list of numbers from 0 to 1',
  });
  t.throws(
    () => new NoiseSchedule({}).addNoise(Float32Array.of(1), Float32Array.of(1), 1000),
    /timestep 1000: not from 0 to 999/,
  );
});

void t.test('noise schedule: with zero-terminal SNR nothing of the picture is left at the last timestep', async (t) => {
  const zero = new NoiseSchedule({
    ...STABLE_DIFFUSION,
    prediction_type: 'v_prediction',
    rescale_betas_zero_snr: true,
  });
  const usual = new NoiseSchedule(STABLE_DIFFUSION);
  t.equal(zero.alphasCumprod[999], 0);
  t.equal(zero.betas[999], 1);
  t.ok(Math.abs(zero.alphasCumprod[0] / usual.alphasCumprod[0] - 1) < 1e-6, 'the first stays');
  // diffusers 0.40 rescale_zero_terminal_snr
  t.ok(
    relativeError([zero.alphasCumprod[500], zero.alphasCumprod[998]], [0.24101854860782623, 1.9679629303936963e-7]) <
      1e-6,
  );
  const [x, noise] = [Float32Array.of(0.5, -2), Float32Array.of(1, 3)];
  t.strictSame([...zero.addNoise(x, noise, 999)], [1, 3], 'noise alone');
  t.strictSame([...zero.target(x, noise, 999)], [-0.5, 2], 'the velocity is the picture, turned round');
  t.equal(zero.snr()[999], 0);
});

void t.test('loss weights are finite also where no signal is left', async (t) => {
  t.equal(minSnrWeight(0, 5, 'epsilon'), 1, 'the limit of min(snr, g) / snr');
  t.equal(minSnrWeight(0, 5, 'diffusers'), 0);
  t.equal(minSnrWeight(0, 5, 'diffengine'), 1);
  t.equal(minSnrWeight(0, 5, 'sample'), 0);
  t.equal(minSnrWeight(20, 5, 'sample'), 5);
  t.equal(debiasWeight(0, 'v_prediction'), 1);
  t.equal(debiasWeight(0, 'epsilon'), 4096, 'as with the least signal of the samplers, 2^-24');
  t.equal(debiasWeight(4, 'sample'), 2);
});

void t.test('noise schedule: a U-Net that predicts the picture learns the latents', async (t) => {
  const schedule = new NoiseSchedule({ ...STABLE_DIFFUSION, prediction_type: 'sample' });
  t.strictSame([...schedule.target(Float32Array.of(0.5, -2), Float32Array.of(1, 3), 400)], [0.5, -2]);
});

void t.test('schedulers: noise prediction cannot start where nothing of the picture is left', async (t) => {
  const blind = { rescale_betas_zero_snr: true, timestep_spacing: 'trailing', original_inference_steps: 50 };
  for (const name of ['DDIMScheduler', 'DDPMScheduler', 'LCMScheduler']) {
    t.throws(() => timestepsOf(blind, 4, name), {
      name: 'UserError',
      message:
        'prediction_type: "epsilon" cannot start from timestep 999, where rescale_betas_zero_snr leaves nothing of the picture; such models predict "v_prediction"',
    });
    t.doesNotThrow(() => timestepsOf({ ...blind, prediction_type: 'v_prediction' }, 4, name));
  }
});

void t.test('schedulers: LCM takes its steps from those of the distillation', async (t) => {
  t.strictSame(timestepsOf({}, 4, 'LCMScheduler'), [999, 759, 499, 259]);
  t.throws(() => timestepsOf({}, 51, 'LCMScheduler'), {
    name: 'UserError',
    message: 'steps: 51; LCMScheduler takes 1 to 50, the original_inference_steps of the distillation',
  });
});

void t.test('schedulers: PNDM with its Runge-Kutta start needs four steps', async (t) => {
  t.strictSame(timestepsOf({}, 4, 'PNDMScheduler'), [750, 625, 625, 500, 500, 375, 375, 250, 250, 125, 125, 0, 0]);
  t.throws(() => timestepsOf({}, 3, 'PNDMScheduler'), {
    name: 'UserError',
    message: 'steps: 3; PNDMScheduler needs at least 4 unless skip_prk_steps is true',
  });
});

void t.test('schedulers: quantiles of the beta distribution', async (t) => {
  // scipy.stats.beta.ppf(q, 0.6, 0.6)
  const quantiles = [
    [0, 0],
    [0.01, 0.0008612388215429059],
    [0.25, 0.17568037865269498],
    [0.5, 0.5],
    [0.9, 0.9604155944112192],
    [1, 1],
  ];
  for (const [share, place] of quantiles)
    t.ok(Math.abs(betaQuantile(share, 0.6) - place) < 1e-12, `${share}: ${betaQuantile(share, 0.6)}`);
});

void t.test('schedulers: fields that no class knows are named', async (t) => {
  t.strictSame(unknownFields({ _class_name: 'X', beta_strat: 1, eta: null, use_karras_sigmas: true, shift: 3 }), [
    'beta_strat',
    'shift',
  ]);
});
