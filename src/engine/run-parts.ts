/** What a run is made of. */
import type { Backend } from '../backends/backend.js';
import type { Logger } from '../base/logger.js';
import type { Rng } from '../base/rng.js';
import type { Collectives } from '../collectives/collectives.js';
import type { DatasetServices } from '../datasets/dataset.js';
import type { DataLoader } from '../datasets/loader.js';
import type { Model } from '../models/model.js';
import type { Drawing } from '../sampling/check-drawings.js';
import type { Hook } from './hook.js';
import type { LossScaleSetting } from './loss-scale.js';
import type { LrSchedule } from './lr_schedules/lr-schedule.js';
import type { Optimizer } from './optimizers/optimizer.js';
import type { EmitEvent } from './run-events.js';
import type { WorkDir } from './work-dir.js';

export interface RunParts {
  readonly model: Model;
  readonly backend: Backend;
  readonly optimizer: Optimizer;
  readonly schedules: readonly LrSchedule[];
  readonly loader: DataLoader;
  readonly hooks: readonly Hook[];
  /** what hooks will draw: checked before the model is read */
  readonly drawings?: readonly Drawing[];
  readonly workDir: WorkDir;
  /** the processes of this run; absent: one */
  readonly ranks?: Collectives;
  readonly rng: Rng;
  readonly log: Logger;
  readonly config: Readonly<Record<string, unknown>>;
  readonly maxIters: number;
  readonly clipMaxNorm?: number | undefined;
  readonly accumulativeCounts: number;
  /** float16 products with a scaled loss */
  readonly lossScale?: LossScaleSetting | undefined;
  /** for `dataset.prepare`; the runner adds what comes from the model */
  readonly datasetServices: Pick<DatasetServices, 'cacheDir' | 'resolveDataset'>;
  /** a second model, for class pictures, by hub id or folder; undefined: it is the model of this run */
  readonly otherModel: (idOrPath: string) => Model | undefined;
  readonly signal: AbortSignal;
  /** what the run tells its caller */
  readonly emit?: EmitEvent | undefined;
}
