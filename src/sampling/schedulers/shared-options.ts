/** Options that several samplers share; names and defaults as in diffusers. */

/** The noise schedule of training. */
export const noiseOptions = {
  num_train_timesteps: { type: 'integer', minimum: 1, default: 1000, description: 'noise levels of training' },
  beta_start: { type: 'number', default: 0.0001, description: 'first beta' },
  beta_end: { type: 'number', default: 0.02, description: 'last beta' },
  beta_schedule: {
    type: 'string',
    enum: ['linear', 'scaled_linear', 'squaredcos_cap_v2'],
    default: 'linear',
    description: 'how beta grows',
  },
  trained_betas: {
    type: 'array',
    items: { type: 'number', minimum: 0, maximum: 1 },
    description: 'the betas themselves, one per timestep, instead of beta_start, beta_end and beta_schedule',
  },
} as const;

/** Betas of Stable Diffusion, where a class has them as its default. */
export const stableDiffusionBetas = {
  ...noiseOptions,
  beta_start: { ...noiseOptions.beta_start, default: 0.00085 },
  beta_end: { ...noiseOptions.beta_end, default: 0.012 },
} as const;

export const zeroSnrOption = {
  rescale_betas_zero_snr: {
    type: 'boolean',
    default: false,
    description: 'no signal is left at the last timestep; Lin et al., arXiv 2305.08891, algorithm 1',
  },
} as const;

export const predictionOption = {
  prediction_type: {
    type: 'string',
    enum: ['epsilon', 'v_prediction', 'sample'],
    default: 'epsilon',
    description: 'what the U-Net predicts: noise, velocity, or the picture itself',
  },
} as const;

/** For classes that diffusers gives no picture prediction. */
export const noiseOrVelocityOption = {
  prediction_type: { ...predictionOption.prediction_type, enum: ['epsilon', 'v_prediction'] },
} as const;

export const spacingOptions = (fallback: 'leading' | 'linspace') =>
  ({
    timestep_spacing: {
      type: 'string',
      enum: ['leading', 'linspace', 'trailing'],
      default: fallback,
      description: 'how the steps are spread; Lin et al., arXiv 2305.08891, table 2',
    },
    steps_offset: { type: 'integer', default: 0, description: 'added to the timesteps of "leading"' },
  }) as const;

/** Other ways to spread the noise levels; at most one of the three. */
export const levelOptions = {
  use_karras_sigmas: { type: 'boolean', default: false, description: 'noise levels of Karras et al., equation 5' },
  use_exponential_sigmas: { type: 'boolean', default: false, description: 'noise levels even in their logarithm' },
  use_beta_sigmas: {
    type: 'boolean',
    default: false,
    description: 'noise levels by quantiles of a beta distribution; Lee et al., arXiv 2407.12173',
  },
  sigma_min: { type: 'number', exclusiveMinimum: 0, description: 'least of those levels; default as trained' },
  sigma_max: { type: 'number', exclusiveMinimum: 0, description: 'largest of those levels; default as trained' },
} as const;

export const finalSigmasOption = {
  final_sigmas_type: {
    type: 'string',
    enum: ['zero', 'sigma_min'],
    default: 'zero',
    description: 'noise level after the last step',
  },
} as const;

/** Limits of the predicted picture. Off unless a config says otherwise: Stable Diffusion's pipelines never clip latents. */
export const clippingOptions = {
  clip_sample: {
    type: 'boolean',
    default: false,
    description: 'limit the predicted picture; for models of pixels, not of latents',
  },
  clip_sample_range: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'the limit, on both sides of 0' },
} as const;

/** Saharia et al., "Imagen", arXiv 2205.11487, section 2.3. */
export const thresholdingOptions = {
  thresholding: {
    type: 'boolean',
    default: false,
    description: 'limit the predicted picture by a quantile of itself and scale it back; for models of pixels',
  },
  dynamic_thresholding_ratio: { type: 'number', minimum: 0, maximum: 1, default: 0.995, description: 'which quantile' },
  sample_max_value: { type: 'number', exclusiveMinimum: 0, default: 1, description: 'largest limit' },
} as const;

export const lastAlphaOption = (fallback: boolean) =>
  ({
    set_alpha_to_one: {
      type: 'boolean',
      default: fallback,
      description: 'the step below timestep 0 is noise-free; false: it has the noise of timestep 0',
    },
  }) as const;

export const solverOrderOption = {
  solver_order: { type: 'integer', minimum: 1, maximum: 3, default: 2, description: 'order of the method' },
} as const;

/** For models of rectified flow, which Stable Diffusion's are not: only off is followed. */
export const flowOptions = {
  use_flow_sigmas: {
    type: 'boolean',
    const: false,
    default: false,
    description: 'noise levels of flow matching; not supported',
  },
  use_dynamic_shifting: {
    type: 'boolean',
    const: false,
    default: false,
    description: 'of flow matching; not supported',
  },
} as const;
