/** How near is near enough: several times the float32 rounding of the reference runs themselves. */
export const LIMITS = {
  /** betas, alphas, add_noise, velocity, loss weights; relative */
  schedule: 1e-6,
  /** whole trajectories of up to 50 steps; relative */
  trajectory: 2e-5,
  /** text encoder, U-Net and VAE outputs and block outputs; relative */
  network: 2e-5,
  /** sinusoids, absolute, in units of rounding of the largest angle: torch's float32 exp may be one unit off the nearest */
  angleUlps: 2,
  /** final latents of a pipeline, relative; images in 0..1, absolute */
  pipelineLatents: 1e-4,
  pipelineImage: 2e-3,
  /** weights with an adapter merged into them, relative */
  mergedWeight: 2e-6,
  /** gradients per tensor and all of them as one vector; relative */
  gradient: 1e-3,
  gradientWhole: 1e-4,
  /** gradients of a length of 1 as a whole differ by this in float32, from one processor's kernels to another's; absolute */
  gradientRounding: 2 ** -22,
  /** norms of gradients at parameters that Adam moved, some of them by rounding alone; relative */
  normAfterUpdates: 1e-3,
  /** parameters after AdamW steps: largest and RMS difference, angle between the update vectors */
  updateMax: 1e-4,
  updateRms: 2e-6,
  updateCosine: 1e-4,
  /** relative */
  loss: 1e-5,
} as const;
