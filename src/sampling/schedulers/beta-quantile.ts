/** Quantiles of the symmetric beta distribution, for noise levels spread as in Lee et al., "Beta sampling is all you need", arXiv 2407.12173. */

const HALVINGS = 60; // down to the last bits of a double

/** @param share from 0 to 1 @param shape both parameters of the distribution @returns the x in 0..1 below which that share lies */
export function betaQuantile(share: number, shape: number): number {
  if (share > 0.5) return 1 - betaQuantile(1 - share, shape);
  const wanted = share * 2 * mass(0.5, shape);
  let low = 0,
    high = 0.5;
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (mass(middle, shape) < wanted) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Integral of (u (1 - u))^(shape - 1) from 0 to x, by the power series of (1 - u)^(shape - 1). @param x at most 0.5 */
function mass(x: number, shape: number): number {
  let term = x ** shape,
    sum = term / shape;
  for (let n = 1; term > 1e-18 * sum; n++) {
    term *= (x * (n - shape)) / n;
    sum += term / (shape + n);
  }
  return sum;
}
