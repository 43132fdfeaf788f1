/** What a run has left in its work dir, as the page of `diffengine ui` and the report show it. All of it is plain JSON. */
import type { RunEnd, RunEnvironment } from '../engine/run-environment.js';

export type { RunEnd, RunEnvironment };

/** A row of the list of runs. */
export interface RunSummary {
  /** the work dir's path below the folder that is looked at, with forward slashes */
  readonly id: string;
  /** last part of it */
  readonly name: string;
  readonly state: RunState;
  /** iterations that the log has */
  readonly iterations: number;
  readonly maxIters: number | undefined;
  /** seconds since 1970 */
  readonly started: number | undefined;
  /** of the newest file; seconds since 1970 */
  readonly changed: number;
  /** smoothed, of the last iteration */
  readonly loss: number | undefined;
  /** newest scores, such as CLIP-I */
  readonly scores: readonly Score[];
  /** path of a picture to show beside the name */
  readonly thumbnail: string | undefined;
}

/**
 * `running`: a living process holds the work dir. `done`: all iterations, or early stopping. `stopped`: a signal ended it,
 * or it has a checkpoint to go on from. `failed`: the rest; `environment.end.error` says why, where it could.
 */
export type RunState = 'running' | 'done' | 'stopped' | 'failed';

export interface Score {
  readonly name: string;
  readonly better: 'higher' | 'lower';
  readonly value: number;
  /** half of the 95 % interval over seeds; undefined with one seed */
  readonly halfWidth: number | undefined;
}

/** Everything of one run except its curves and its log, which grow. */
export interface RunView extends RunSummary {
  /** the merged config, as YAML */
  readonly config: string;
  /** seconds by phase, as phases.json */
  readonly phases: Readonly<Record<string, number>>;
  readonly evaluations: readonly { readonly iter: number; readonly scores: readonly Score[] }[];
  readonly best: { readonly name: string; readonly iter: number; readonly value: number } | undefined;
  readonly previews: readonly Preview[];
  readonly trainingPictures: readonly Picture[];
  readonly checkpoints: readonly Checkpoint[];
  readonly environment: RunEnvironment | undefined;
  /** what to draw with, as the run's own previews; undefined: its model draws nothing, such as a classifier's */
  readonly drawing: DrawingDefaults | undefined;
}

/** What a drawing has where its request leaves it out. */
export interface DrawingDefaults {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  /** pixels; undefined: the model's own size */
  readonly width: number | undefined;
  /** pixels; undefined: the model's own size */
  readonly height: number | undefined;
  /** undefined: the model's own */
  readonly scheduler: string | undefined;
}

/** What the prompts showed at one point of the training. */
export interface Preview {
  /** 0-based iteration after which it was drawn; -1 before training */
  readonly iter: number;
  readonly pictures: readonly Picture[];
}

export interface Picture {
  /** in the page, a path below /api/runs/<id>/files/; in the report, a data URI */
  readonly src: string;
  /** the prompt, where one is known */
  readonly caption: string;
  /** pixels */
  readonly width: number;
  /** pixels */
  readonly height: number;
}

export interface Checkpoint {
  /** its folder, such as step349 */
  readonly name: string;
  /** 0-based iteration */
  readonly iter: number;
  readonly isLast: boolean;
  readonly isBest: boolean;
  /** adapters can be scaled; networks that were trained whole cannot */
  readonly isAdapter: boolean;
}

/** Curves of a run: values by name, each beside its iteration. `loss_smooth` is derived where no file has it. */
export interface Scalars {
  /** name, such as loss, lr, grad_norm, time/iter_s, memory/rss_gib */
  readonly [name: string]: { readonly iter: readonly number[]; readonly value: readonly number[] };
}
