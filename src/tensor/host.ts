/** Plain tensors on the host: what goes into and comes out of a backend, a file or a dataset. */

/** Element types. `float16` and `bfloat16` are held as raw 16-bit words (Uint16Array). */
export type DType = 'float32' | 'float16' | 'bfloat16' | 'int32' | 'int64' | 'uint8' | 'bool';
export type Shape = readonly number[];
export type TypedArray = Float32Array | Uint16Array | Int32Array | BigInt64Array | Uint8Array;

/** Row-major, contiguous. `data.length` is the product of `shape`. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

export const bytesPerElement: Record<DType, number> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int32: 4,
  int64: 8,
  uint8: 1,
  bool: 1,
};

const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DType, unknown>;

/** Of any type, all 0. */
export const zeros = (dtype: DType, shape: Shape): HostTensor => ({
  dtype,
  shape,
  data: new ARRAYS[dtype](sizeOf(shape)),
});

/** Number of elements of a shape; 1 for a scalar `[]`. */
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

/** Number of elements of all of them, such as a network's parameters. */
export const totalSizeOf = (shapes: ReadonlyMap<string, Shape>): number =>
  [...shapes.values()].reduce((n, shape) => n + sizeOf(shape), 0);

export function float32(data: Float32Array | readonly number[], shape: Shape): HostTensor {
  return host('float32', data instanceof Float32Array ? data : Float32Array.from(data), shape);
}

export function int32(data: Int32Array | readonly number[], shape: Shape): HostTensor {
  return host('int32', data instanceof Int32Array ? data : Int32Array.from(data), shape);
}

/** A scalar, shape `[]`. */
export const scalar = (value: number): HostTensor => float32([value], []);

function host(dtype: DType, data: TypedArray, shape: Shape): HostTensor {
  if (data.length !== sizeOf(shape)) {
    throw new RangeError(`tensor: ${data.length} values for shape [${shape}]; it needs ${sizeOf(shape)}`);
  }
  return { dtype, shape, data };
}

/** The float32 values of a tensor; throws TypeError for any other dtype. */
export function floats(tensor: HostTensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new TypeError(`expected float32, got ${tensor.dtype}`);
  return tensor.data;
}

export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => d === b[i]);
