/** The schema of a pair of decays; each optimizer adds its default and what they are of. */
export const BETAS = {
  type: 'array',
  items: { type: 'number', minimum: 0, exclusiveMaximum: 1 },
  minItems: 2,
  maxItems: 2,
} as const;
