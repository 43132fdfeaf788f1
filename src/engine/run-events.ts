/** What a training run tells a program while it goes on. */

/** What every event has. The iteration is the 0-based one that the event belongs to; before the first, the one to come. */
interface At {
  readonly iter: number;
  /** only events of kind `iter` have one */
  readonly loss?: undefined;
}

/** Everything is built and restored; iterations begin. */
export interface StartEvent extends At {
  readonly kind: 'start';
  /** absolute path */
  readonly workDir: string;
  readonly maxIters: number;
  /** numbers of parameters */
  readonly trainable: number;
  readonly frozen: number;
  /** number of training samples */
  readonly samples: number;
  /** what computes, such as `onnxruntime cpu` */
  readonly backend: string;
  /** the checkpoint that the run continues from */
  readonly resumedFrom?: string;
}

/** An iteration has run; the parameters hold its update. */
export interface IterEvent {
  readonly kind: 'iter';
  readonly iter: number;
  readonly maxIters: number;
  /** of this batch */
  readonly loss: number;
  /** learning rate of this iteration */
  readonly lr: number;
  /** norm of all gradients before clipping; absent in iterations without an update (accumulative_counts) */
  readonly grad_norm?: number;
  /** these and all that the model reports, by name */
  readonly logs: Readonly<Record<string, number>>;
}

/** A checkpoint is complete on disk. */
export interface CheckpointEvent extends At {
  readonly kind: 'checkpoint';
  /** its folder, absolute */
  readonly path: string;
}

/** VisualizationHook has drawn its prompts. */
export interface PicturesEvent extends At {
  readonly kind: 'pictures';
  /** PNG files, absolute, one per prompt */
  readonly paths: readonly string[];
  /** what each shows */
  readonly prompts: readonly string[];
  /** PNG file with all of them */
  readonly sheet: string;
}

/** EvaluationHook has measured the model. */
export interface EvaluationEvent extends At {
  readonly kind: 'evaluation';
  /** the untrained model, the trained one, or on the way */
  readonly when: 'before' | 'during' | 'after';
  readonly scores: readonly {
    readonly name: string;
    readonly better: 'higher' | 'lower';
    readonly value: number;
    /** half the width of the 95 % interval over seeds; undefined with one seed */
    readonly halfWidth: number | undefined;
  }[];
}

/** A line of the log. */
export interface LogEvent extends At {
  readonly kind: 'log';
  readonly level: 'info' | 'warn' | 'debug';
  readonly message: string;
}

/** Nobody read for so long that old events had to go: lines and iterations first. */
export interface DroppedEvent extends At {
  readonly kind: 'dropped';
  /** how many are missing here */
  readonly count: number;
}

/** The run is over, and well. The last event. */
export interface DoneEvent extends At {
  readonly kind: 'done';
  /** the checkpoint of the last iteration, absolute, when there is one */
  readonly checkpoint: string | undefined;
  /** the one that measured best, absolute, with CheckpointHook's `save_best` */
  readonly best: string | undefined;
}

export type TrainEvent =
  StartEvent | IterEvent | CheckpointEvent | PicturesEvent | EvaluationEvent | LogEvent | DroppedEvent | DoneEvent;

export type EmitEvent = (event: TrainEvent) => void;
