/** What hooks see and may use during a run. */
import type { Backend } from '../backends/backend.js';
import type { Dataset } from '../datasets/dataset.js';
import type { Model } from '../models/model.js';
import type { Collectives } from '../collectives/collectives.js';
import type { SampleRequest, WeightSet } from '../sampling/sample-request.js';
import type { HostTensor } from '../tensor/host.js';
import type { Rng } from '../base/rng.js';
import type { Parameters } from './parameters.js';
import type { EmitEvent } from './run-events.js';
import type { WorkDir } from './work-dir.js';

/** What an evaluation found after an iteration. */
export interface Evaluation {
  /** 0-based; the values are of the weights after it */
  readonly iter: number;
  /** stands for all that the values depend on beside the weights: those of another key do not compare */
  readonly key: string;
  readonly scores: readonly Scored[];
}

export interface Scored {
  /** such as CLIP-I */
  readonly name: string;
  readonly better: 'higher' | 'lower';
  readonly value: number;
  /** half the width of the 95 % interval over seeds; undefined with one seed */
  readonly halfWidth?: number | undefined;
}

/** Seconds of what hooks do every so many iterations: checkpoints, pictures, measuring. */
export interface Asides {
  readonly spent: number;
  /** as far as each was seen to take its time once */
  readonly left: number;
}

export interface RunState {
  readonly model: Model;
  readonly backend: Backend;
  readonly parameters: Parameters;
  /** What is trained on; prepared. */
  readonly dataset: Dataset;
  readonly workDir: WorkDir;
  readonly rng: Rng;
  /** The merged config, as written to the work dir. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly maxIters: number;
  /** 0-based; during `afterTrainIter` the iteration that just ran. */
  iter: number;
  /** Scalars of the last step: loss, grad_norm, lr, and whatever the model reports. */
  logs: Record<string, number>;
  /** What evaluations found so far, in order; checkpoints hold it, and a resumed run goes on with it. */
  readonly evaluations: readonly Evaluation[];
  /** The weights that validation and saving use: 'ema' once an EMA hook is active. */
  weights: WeightSet;
  /** Names of all backend states that a checkpoint must hold; a hook that adds states appends here in `beforeRun`. */
  readonly stateNames: string[];
  /** Aborted by the caller, or by Ctrl-C or SIGTERM: finish the step, save, leave. */
  readonly signal: AbortSignal;
  /** The processes of this run; one alone has size 1. */
  readonly ranks: Collectives;
  /** This iteration changes the parameters: not so while gradients are accumulated. */
  readonly isUpdate: boolean;
  /** Number of the update that this iteration makes or works towards, 0-based. */
  readonly update: number;
  /**
   * Pictures of the model, uint8 [H, W, 3], one per prompt: drawn by all ranks and the same on all, when the hook acts on
   * all. Stopped by the run's signal.
   */
  draw(request: SampleRequest): AsyncGenerator<HostTensor>;
  readonly asides: Asides;
  /** Tells the program that started this run. */
  readonly emit: EmitEvent;
  /** Trainable values now, by parameter name. */
  values(weights?: WeightSet): Promise<Record<string, HostTensor>>;
  /** Files what an evaluation found, after iteration `iter`, and lets hooks see it (`afterValEpoch`). */
  evaluated(found: Omit<Evaluation, 'iter'>): Promise<void>;
  /** Writes the checkpoint of this iteration, once; resolves to its folder. */
  saveCheckpoint(): Promise<string>;
  /** Ends the loop after this iteration. */
  stop(reason: string): void;
  /** True every n-th iteration, counting from 1, and false for n <= 0. */
  every(n: number): boolean;
  /** True in the last iteration. */
  readonly isLast: boolean;
  /** Seconds that this process spent so far, by phase; `phases.json` at the end. */
  readonly phases: Readonly<Record<string, number>>;
}
