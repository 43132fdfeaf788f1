/** What the engine knows of a model: one training step as a graph, the feeds of that step, and pictures. */
import type { Drawing } from '../sampling/check-drawings.js';
import type { EncodingCache } from '../sampling/encoding-cache.js';
import type { SampleRequest } from '../sampling/sample-request.js';
import { Registry } from '../registry/registry.js';
import type { Executor } from '../backends/executor.js';
import type { Feeds } from '../backends/backend.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { state, type Tensor, type TensorType } from '../tensor/tensor.js';
import type { Rng } from '../base/rng.js';

/** One training example; `prior` is its class picture when prior preservation is on. */
export interface TrainSample {
  /** [3, H, W] float32 in [-1, 1] */
  readonly img: HostTensor;
  readonly text: string;
  readonly prior?: { readonly img: HostTensor; readonly text: string };
}

export interface StepContext {
  readonly iteration: number;
  readonly rng: Rng;
}

/** A training step, before the gradient. */
export interface StepGraph {
  /** [] */
  readonly loss: Tensor;
  /** [] each */
  readonly logs?: Readonly<Record<string, Tensor>>;
  /** next values of buffers, by name */
  readonly updates?: Readonly<Record<string, Tensor>>;
}

/** The backend state that holds a buffer of the model. */
export const bufferState = (name: string): string => `buffer/${name}`;
/** A buffer's value before the step. */
export const buffer = (name: string, shape: Shape): Tensor => state(bufferState(name), shape);

export abstract class Model {
  /**
   * Tells from small files alone what cannot work: the noise schedule, and pictures that will be asked for. Called before `load`.
   * @throws UserError naming the option or the file to mend
   */
  async check(_drawings: readonly Drawing[]): Promise<void> {}
  /** Opens weights and checks them against the configs. Called once, before anything but `check`. */
  abstract load(): Promise<void>;
  /** Runs programs; set by the runner after `load`, when the parameters are known. */
  executor!: Executor;

  /** Trainable parameters by name, in a fixed order. */
  abstract parameters(): ReadonlyMap<string, Shape>;
  /** Start values of the trainable parameters. */
  abstract initialValues(rng: Rng): Promise<Record<string, HostTensor>>;

  /**
   * Values beside the parameters that steps change without a gradient, such as a running mean: what they start at, by name.
   * `loss` reads one with `buffer` and gives its next value in `updates`; checkpoints hold them.
   */
  buffers(): Readonly<Record<string, HostTensor>> {
    return {};
  }
  /** Steps run a program on the moving average of the weights, so that the run needs an EMAHook. */
  readonly needsAverage: boolean = false;

  /** What one step is fed for these samples. Everything random comes from (seed, iteration, sample). */
  abstract feeds(samples: readonly TrainSample[], step: StepContext): Promise<Feeds>;
  /** The scalar loss for feeds of these types, over `parameter` leaves; `logs` are further scalars to report. */
  abstract loss(feeds: Readonly<Record<string, TensorType>>): StepGraph;

  /** Pictures, uint8 [H, W, 3], one per prompt. */
  abstract sample(request: SampleRequest): AsyncGenerator<HostTensor>;

  /** Writes what training made, as the field's tools read it, into `folder` (e.g. `step999/unet/adapter_model.safetensors`). */
  abstract save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void>;

  /** Identifies the frozen weights: a checkpoint of another base is refused. */
  abstract readonly fingerprint: string;
  /** Changes when the same request would give other pictures of the frozen weights. */
  get drawingFingerprint(): string {
    return this.fingerprint;
  }
  /** What the model encodes once and keeps: of several ranks each tells the others. */
  get encodings(): EncodingCache | undefined {
    return undefined;
  }
  /** Frozen and trainable parameter counts, for the log. */
  abstract readonly counts: { readonly frozen: number; readonly trainable: number };
}

export const MODELS = new Registry<Model>('MODELS', 'model');
