/** Symmetric matrices in float64, row-major [n * n]. */

/**
 * All eigenvalues, ascending, each within some 1e-15 of the largest one's size: Householder's reduction to a tridiagonal
 * matrix, then bisection on the signs of Sturm sequences (Golub and Van Loan, Matrix Computations, 8.3.1 and 8.4.1).
 */
export function eigenvalues(matrix: Float64Array, n: number): Float64Array {
  const { diagonal, beside } = tridiagonal(matrix, n);
  // Gershgorin: every eigenvalue is as near to a diagonal element as the elements beside it are large.
  const radius = diagonal.map((_, i) => Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0));
  const low = Math.min(...diagonal.map((d, i) => d - radius[i])),
    high = Math.max(...diagonal.map((d, i) => d + radius[i]));
  const tolerance = Number.EPSILON * Math.max(Math.abs(low), Math.abs(high));
  return Float64Array.from({ length: n }, (_, k) => {
    let from = low,
      to = high;
    while (to - from > tolerance) {
      const middle = from + (to - from) / 2;
      if (middle === from || middle === to) break;
      if (countBelow(middle, diagonal, beside) > k) to = middle;
      else from = middle;
    }
    return from + (to - from) / 2;
  });
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** n - 1 elements */
  readonly beside: Float64Array;
}

/** A tridiagonal matrix with the same eigenvalues. */
function tridiagonal(matrix: Float64Array, n: number): Tridiagonal {
  const A = Float64Array.from(matrix),
    v = new Float64Array(n),
    w = new Float64Array(n),
    beside = new Float64Array(Math.max(0, n - 1));
  for (let k = 0; k < n - 1; k++) {
    let square = 0;
    for (let i = k + 1; i < n; i++) square += (v[i] = A[i * n + k]) ** 2;
    const first = v[k + 1],
      alpha = first > 0 ? -Math.sqrt(square) : Math.sqrt(square); // the sign that does not cancel
    beside[k] = alpha;
    v[k + 1] -= alpha;
    const norm = 2 * (square - first * alpha); // |v|^2
    if (norm > 0) reflect(A, v, w, 2 / norm, k + 1, n);
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => A[i * n + i]), beside };
}

/** A becomes H A H for rows and columns from `start`, with H = I - beta v v'; `w` is scratch. */
function reflect(A: Float64Array, v: Float64Array, w: Float64Array, beta: number, start: number, n: number): void {
  let along = 0;
  for (let i = start; i < n; i++) {
    let sum = 0;
    for (let j = start; j < n; j++) sum += A[i * n + j] * v[j];
    w[i] = beta * sum;
    along += w[i] * v[i];
  }
  for (let i = start; i < n; i++) w[i] -= (beta / 2) * along * v[i];
  for (let i = start; i < n; i++) for (let j = start; j < n; j++) A[i * n + j] -= v[i] * w[j] + w[i] * v[j];
}

/** How many eigenvalues are below x: as many as the factorisation of T - xI has negative pivots. */
function countBelow(x: number, diagonal: Float64Array, beside: Float64Array): number {
  let count = 0,
    pivot = 1;
  for (let i = 0; i < diagonal.length; i++) {
    pivot = diagonal[i] - x - (i === 0 ? 0 : beside[i - 1] ** 2 / pivot);
    if (pivot === 0) pivot = Number.MIN_VALUE; // x moves by less than it can
    if (pivot < 0) count++;
  }
  return count;
}

/**
 * Lower triangular L with L L' = matrix, for matrices that may be singular: a column whose pivot is rounding only is 0.
 * @param matrix no eigenvalue below 0
 */
export function cholesky(matrix: Float64Array, n: number): Float64Array {
  const L = new Float64Array(n * n),
    largest = Math.max(0, ...Array.from({ length: n }, (_, i) => matrix[i * n + i]));
  for (let k = 0; k < n; k++) {
    for (let i = k; i < n; i++) {
      let sum = matrix[i * n + k];
      for (let j = 0; j < k; j++) sum -= L[i * n + j] * L[k * n + j];
      if (i === k && sum <= n * Number.EPSILON * largest) break;
      L[i * n + k] = i === k ? Math.sqrt(sum) : sum / L[k * n + k];
    }
  }
  return L;
}

/** F C F' for symmetric C. @param F [k * n] @returns [k * k] */
export function sandwich(F: Float64Array, C: Float64Array, k: number, n: number): Float64Array {
  const FC = new Float64Array(k * n),
    out = new Float64Array(k * k);
  for (let i = 0; i < k; i++) {
    for (let m = 0; m < n; m++) {
      const f = F[i * n + m];
      if (f !== 0) for (let j = 0; j < n; j++) FC[i * n + j] += f * C[m * n + j];
    }
  }
  for (let i = 0; i < k; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let m = 0; m < n; m++) sum += FC[i * n + m] * F[j * n + m];
      out[i * k + j] = out[j * k + i] = sum;
    }
  }
  return out;
}
