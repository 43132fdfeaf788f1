/** The largest singular values of a matrix with their vectors, by subspace iteration (Halko et al., arXiv 0909.4061). */
import { Rng } from '../base/rng.js';

/** Row-major. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

export interface Principal {
  /** descending */
  readonly values: Float64Array;
  /** [rows, rank], columns of length 1 */
  readonly left: Matrix;
  /** [cols, rank] */
  readonly right: Matrix;
}

/** Extra directions that make the wanted ones converge sooner. */
const OVERSAMPLING = 8;
const MOST_ITERATIONS = 60;
/** Relative change of the values at which they count as found; float32 cannot tell more. */
const SETTLED = 1e-7;

/**
 * @param rank how many; at most the smaller side counts
 * @param iterations that many; undefined: until the values settle
 * @returns the same bits for the same matrix; what a matrix of lower rank lacks is zero
 */
export function principal(matrix: Matrix, rank: number, iterations?: number): Principal {
  const smaller = Math.min(matrix.rows, matrix.cols);
  const width = Math.min(smaller, rank + OVERSAMPLING);
  let right = orthonormal({
    rows: matrix.cols,
    cols: width,
    data: Float64Array.from(new Rng(0).stream('principal').normals(matrix.cols * width)),
  });
  let found = rayleigh(matrix, right);
  for (let i = 0; i < (iterations ?? MOST_ITERATIONS); i++) {
    right = orthonormal(multiply(matrix, orthonormal(multiply(matrix, right)), true));
    const next = rayleigh(matrix, right);
    const settled = found.values.every((v, k) => k >= rank || Math.abs(v - next.values[k]) <= SETTLED * next.values[0]);
    found = next;
    if (iterations === undefined && settled) break;
  }
  return {
    values: resized(found.values, rank),
    left: columns(found.left, rank),
    right: columns(found.right, rank),
  };
}

/** Singular values and vectors inside the span of `basis` [cols, k]: those of the narrow matrix M basis. */
function rayleigh(matrix: Matrix, basis: Matrix): Principal {
  const image = multiply(matrix, basis);
  const { values, vectors } = symmetricEigen(multiply(image, image, true));
  const singular = values.map((v) => Math.sqrt(Math.max(v, 0)));
  const left = multiply(image, vectors);
  for (let c = 0; c < left.cols; c++)
    for (let r = 0; r < left.rows; r++) left.data[r * left.cols + c] *= singular[c] > 0 ? 1 / singular[c] : 0;
  return { values: singular, left, right: multiply(basis, vectors) };
}

/** A B, or A^T B. */
export function multiply(a: Matrix, b: Matrix, transposed = false): Matrix {
  const rows = transposed ? a.cols : a.rows;
  const inner = transposed ? a.rows : a.cols;
  const data = new Float64Array(rows * b.cols);
  for (let i = 0; i < rows; i++)
    for (let k = 0; k < inner; k++) {
      const factor = transposed ? a.data[k * a.cols + i] : a.data[i * a.cols + k];
      if (factor === 0) continue;
      for (let j = 0; j < b.cols; j++) data[i * b.cols + j] += factor * b.data[k * b.cols + j];
    }
  return { rows, cols: b.cols, data };
}

/** Gram-Schmidt, twice, which is enough in floating point (Giraud et al., 2005); a column that depends on earlier ones becomes zero. */
export function orthonormal({ rows, cols, data }: Matrix): Matrix {
  const out = data.slice();
  for (let c = 0; c < cols; c++) {
    const before = columnNorm(out, rows, cols, c);
    for (let pass = 0; pass < 2; pass++)
      for (let p = 0; p < c; p++) {
        let dot = 0;
        for (let r = 0; r < rows; r++) dot += out[r * cols + p] * out[r * cols + c];
        for (let r = 0; r < rows; r++) out[r * cols + c] -= dot * out[r * cols + p];
      }
    const norm = columnNorm(out, rows, cols, c);
    const factor = norm > 1e-12 * before ? 1 / norm : 0;
    for (let r = 0; r < rows; r++) out[r * cols + c] *= factor;
  }
  return { rows, cols, data: out };
}

function columnNorm(data: Float64Array, rows: number, cols: number, c: number): number {
  let sum = 0;
  for (let r = 0; r < rows; r++) sum += data[r * cols + c] ** 2;
  return Math.sqrt(sum);
}

/** Jacobi's rotations on a small symmetric matrix; values descending, vectors as columns. */
function symmetricEigen({ rows: n, data }: Matrix): { values: Float64Array; vectors: Matrix } {
  const a = data.slice();
  const v = new Float64Array(n * n);
  for (let i = 0; i < n; i++) v[i * n + i] = 1;
  for (let sweep = 0; sweep < 50 && offDiagonal(a, n) > 1e-15 * frobenius(a); sweep++)
    for (let p = 0; p < n - 1; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q);
  const order = [...Array(n).keys()].sort((i, j) => a[j * n + j] - a[i * n + i]);
  const vectors = new Float64Array(n * n);
  order.forEach((from, to) => {
    for (let r = 0; r < n; r++) vectors[r * n + to] = v[r * n + from];
  });
  return { values: Float64Array.from(order, (i) => a[i * n + i]), vectors: { rows: n, cols: n, data: vectors } };
}

function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const apq = a[p * n + q];
  if (apq === 0) return;
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  const turn = (m: Float64Array, i: number, j: number): void => {
    const [x, y] = [m[i], m[j]];
    m[i] = c * x - s * y;
    m[j] = s * x + c * y;
  };
  for (let k = 0; k < n; k++) turn(a, k * n + p, k * n + q);
  for (let k = 0; k < n; k++) turn(a, p * n + k, q * n + k);
  for (let k = 0; k < n; k++) turn(v, k * n + p, k * n + q);
}

const frobenius = (a: Float64Array): number => Math.sqrt(a.reduce((s, x) => s + x * x, 0));
const offDiagonal = (a: Float64Array, n: number): number =>
  Math.sqrt(a.reduce((s, x, i) => (i % (n + 1) === 0 ? s : s + x * x), 0));

const resized = (values: Float64Array, length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => values[i] ?? 0);

function columns({ rows, cols, data }: Matrix, count: number): Matrix {
  const out = new Float64Array(rows * count);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < Math.min(count, cols); c++) out[r * count + c] = data[r * cols + c];
  return { rows, cols: count, data: out };
}
