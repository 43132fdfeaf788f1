/** Loss factors of one sample from the signal-to-noise ratio of its timestep. */

/** Which form of min-SNR: for noise prediction, or one of the two in use for v prediction. */
export type MinSnrKind = 'epsilon' | 'diffusers' | 'diffengine';

/**
 * Min-SNR-gamma (arXiv 2303.09556).
 * `epsilon`: min(snr, g) / snr; v prediction as in `diffusers`: min(snr, g) / (snr + 1), as in `diffengine`: min(snr + 1, g) / (snr + 1).
 * @param snr > 0 @param gamma > 0
 */
export function minSnrWeight(snr: number, gamma: number, kind: MinSnrKind): number {
  if (kind === 'epsilon') return Math.min(snr, gamma) / snr;
  return Math.min(kind === 'diffusers' ? snr : snr + 1, gamma) / (snr + 1);
}

/** De-biased estimation (arXiv 2310.08442): 1 / sqrt(snr); with v prediction 1 / sqrt(snr + 1). */
export function debiasWeight(snr: number, predictionType: string): number {
  return 1 / Math.sqrt(predictionType === 'v_prediction' ? snr + 1 : snr);
}
