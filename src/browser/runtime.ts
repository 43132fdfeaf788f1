/** What is used of ONNX Runtime: the caller hands in onnxruntime-web, in the variant that it wants. */

export interface RuntimeTensor {
  readonly dims: readonly number[];
  /** Float32Array for what the models give */
  readonly data: unknown;
  dispose?(): void;
}

export interface RuntimeSession {
  run(feeds: Readonly<Record<string, RuntimeTensor>>): Promise<Readonly<Record<string, RuntimeTensor>>>;
  release(): Promise<void>;
}

export interface OnnxRuntime {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: object): Promise<RuntimeSession>;
  };
  readonly Tensor: new (
    type: 'float32' | 'int32',
    data: Float32Array | Int32Array,
    dims: readonly number[],
  ) => RuntimeTensor;
}
