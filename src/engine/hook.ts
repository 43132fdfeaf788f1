/** Points of a run where a component can act; names and order as mmengine's hooks, in camelCase. */
import { Registry } from '../registry/registry.js';
import type { Program } from '../backends/backend.js';
import type { Parameters } from './parameters.js';
import type { RunState } from './run-state.js';
import type { SampleRequest, WeightSet } from '../sampling/sample-request.js';

/** mmengine's named priorities: a lower number runs earlier at each point. */
export const PRIORITY = {
  HIGHEST: 0,
  VERY_HIGH: 10,
  HIGH: 30,
  ABOVE_NORMAL: 40,
  NORMAL: 50,
  BELOW_NORMAL: 60,
  LOW: 70,
  VERY_LOW: 90,
  LOWEST: 100,
} as const;
export type Priority = keyof typeof PRIORITY;

/** A run that is only planned; what hooks tell it is counted, nothing is computed. */
export interface PlannedRun {
  readonly parameters: Parameters;
  /** The merged config. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly maxIters: number;
  /** as in `RunState` */
  weights: WeightSet;
  /** A program of the hook's own, and how often it runs. */
  runs(program: Program, times: number): Promise<void>;
  /** Pictures that the model draws, and how often. */
  draws(request: SampleRequest, times: number): Promise<void>;
}

/** Scheduler and number of steps of a component's `scheduler` and `num_inference_steps`. */
export interface DrawnBy {
  /** default the pipeline's own */
  readonly scheduler?: string | undefined;
  readonly steps: number;
}

export abstract class Hook {
  readonly priority: Priority = 'NORMAL';
  /**
   * On which processes of a run it acts: on rank 0, as those that write, show or decide to stop; or on all, as those that
   * change what is trained, and those that draw (`run.draw`), which all ranks do together.
   */
  readonly ranks: 'first' | 'all' = 'first';

  /** Iterations between the times when it does its work, and once at the end; undefined: none that takes long. */
  get period(): number | undefined {
    return undefined;
  }

  /** With what it will draw, when it does: checked before the model is read. @param _config the merged config */
  drawnBy(_config: Readonly<Record<string, unknown>>): DrawnBy | undefined {
    return undefined;
  }

  /** For `diffengine plan`: what this hook will compute beside the training steps. */
  async plan(_run: PlannedRun): Promise<void> {}
  /** Everything is built, states are initialised, nothing is restored yet. */
  async beforeRun(_run: RunState): Promise<void> {}
  /** After a checkpoint was restored (only on resume). */
  async afterLoadCheckpoint(_run: RunState): Promise<void> {}
  /** Just before the first iteration of this process. */
  async beforeTrain(_run: RunState): Promise<void> {}
  async beforeTrainIter(_run: RunState): Promise<void> {}
  async afterTrainIter(_run: RunState): Promise<void> {}
  /** After an evaluation, the last of `run.evaluations`; on resume also after that of the checkpoint's iteration. */
  async afterValEpoch(_run: RunState): Promise<void> {}
  /** While a checkpoint folder is being written: add files to `folder`; they appear with it or not at all. */
  async beforeSaveCheckpoint(_run: RunState, _folder: string): Promise<void> {}
  async afterTrain(_run: RunState): Promise<void> {}
  /** Always, also after an error. */
  async afterRun(_run: RunState): Promise<void> {}
}

export const HOOKS = new Registry<Hook>('HOOKS', 'hook');
