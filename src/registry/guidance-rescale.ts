/** How far the spread of a guided prediction is drawn back to that of the unguided one: Lin et al., arXiv 2305.08891. */
export const GUIDANCE_RESCALE = { type: 'number', minimum: 0, maximum: 1 } as const;
export const GUIDANCE_RESCALE_TEXT =
  'against pictures that guidance makes too bright or too dark: 0 none, 1 all; 0.7 for models with zero-terminal SNR';
