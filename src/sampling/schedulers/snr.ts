/** Loss factors of one sample from the signal-to-noise ratio of its timestep. All are finite, also where the ratio is 0. */

/** Which form of min-SNR: for noise prediction, for picture prediction, or one of the two in use for v prediction. */
export type MinSnrKind = 'epsilon' | 'sample' | 'diffusers' | 'diffengine';

/**
 * Min-SNR-gamma (arXiv 2303.09556).
 * `epsilon`: min(snr, g) / snr, which is 1 where no signal is left; `sample`: min(snr, g);
 * v prediction as in `diffusers`: min(snr, g) / (snr + 1), as in `diffengine`: min(snr + 1, g) / (snr + 1).
 * @param snr from 0 @param gamma > 0
 */
export function minSnrWeight(snr: number, gamma: number, kind: MinSnrKind): number {
  const least = Math.min(snr, gamma);
  switch (kind) {
    case 'epsilon':
      return snr === 0 ? 1 : least / snr;
    case 'sample':
      return least;
    case 'diffusers':
      return least / (snr + 1);
    case 'diffengine':
      return Math.min(snr + 1, gamma) / (snr + 1);
  }
}

/** Where zero-terminal SNR leaves nothing, diffusers' samplers take this share of the picture instead. */
export const LEAST_SIGNAL = 2 ** -24;

/**
 * De-biased estimation (arXiv 2310.08442): 1 / sqrt(snr); with v prediction 1 / sqrt(snr + 1); of the picture sqrt(snr),
 * for an error of the picture is one of the noise times sqrt(snr).
 */
export function debiasWeight(snr: number, predictionType: string): number {
  if (predictionType === 'sample') return Math.sqrt(snr);
  return 1 / Math.sqrt(predictionType === 'v_prediction' ? snr + 1 : Math.max(snr, LEAST_SIGNAL));
}
