/** What a run has left in its work dir, as the page of `diffengine ui` and the report show it. All of it is plain JSON. */

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

/** `running`: a living process holds the work dir. `stopped`: it has a checkpoint and iterations to come. `failed`: neither. */
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

/** Who made the run, to make it again. Written as `environment.json` by each start of a run. */
export interface RunEnvironment {
  /** the command line, without this machine's paths to Node and the package */
  readonly command: string;
  readonly diffengine: string;
  readonly node: string;
  readonly platform: string;
  readonly cpu: string;
  readonly cores: number;
  /** GiB */
  readonly memory: number;
  /** what computed, such as `onnxruntime cpu` */
  readonly backend: string;
  /** seconds since 1970 */
  readonly started: number;
}

/** Curves of a run: values by name, each beside its iteration. `loss_smooth` is derived where no file has it. */
export interface Scalars {
  /** name, such as loss, lr, grad_norm, time/iter_s, memory/rss_gib */
  readonly [name: string]: { readonly iter: readonly number[]; readonly value: readonly number[] };
}
