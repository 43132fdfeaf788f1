import { join } from 'node:path';
import type { LogEvent, TrainEvent } from '../engine/run-events.js';
import { runTraining } from '../engine/train.js';
import { RunLog } from '../loggers/run-log.js';
import type { ConfigInput } from '../registry/define-config.js';
import { foretell } from '../planning/estimate.js';
import { FLAG, logOf, optionsOf, signalOf, TEXT, type CallOptions } from './call-options.js';
import { CONFIG_OPTIONS, openConfig, type ConfigOptions } from './open-config.js';
import { TrainingRun } from './training-run.js';

export interface TrainOptions extends CallOptions, ConfigOptions {
  /** Where log, checkpoints and pictures go. Default: the config's `work_dir`, else `work_dirs/<config name>`. */
  readonly workDir?: string | undefined;
  /** Go on from the work dir's last checkpoint (from the start when there is none), or from the checkpoint at a path. */
  readonly resume?: boolean | string | undefined;
  /** Say first in the log what the run will cost, as `plan` does in more words; takes seconds. Default false. */
  readonly estimate?: boolean | undefined;
}

const check = optionsOf<TrainOptions>({
  ...CONFIG_OPTIONS,
  workDir: TEXT,
  resume: { type: ['boolean', 'string'] },
  estimate: FLAG,
});

/**
 * Trains what a config describes, as `diffengine train` does.
 *
 * Aborted by its signal, the run finishes the iteration, saves a checkpoint, and rejects with code INTERRUPTED; `resume`
 * then goes on bit for bit. It sets no signal handlers, prints nothing, and leaves nothing open.
 * @param config a file (.ts, .js, .yaml), the name of a built-in config, or what `defineConfig` gives
 * @returns the run: await it for the result, loop over it for its events
 * @throws UserError (the promise rejects): CONFIG_INVALID, CONFIG_NOT_FOUND, WORK_DIR_IN_USE, MODEL_MISMATCH,
 *   LOSS_NOT_FINITE, INTERRUPTED, ...
 */
export function train(config: string | ConfigInput, options: TrainOptions = {}): TrainingRun {
  return new TrainingRun(async (emit) => {
    check('train', options);
    const { name, config: opened, size } = await openConfig(config, options);
    const workDir = options.workDir ?? String(opened['work_dir'] ?? join('work_dirs', name));
    let iter = 0;
    const tell = (event: TrainEvent): void => {
      iter = event.iter;
      emit(event);
    };
    const log = new RunLog(logOf(options), (level: LogEvent['level'], message) =>
      tell({ kind: 'log', iter, level, message }),
    );
    const resume = options.resume === false ? undefined : options.resume;
    const result = await runTraining({
      config: opened,
      workDir,
      resume,
      log,
      signal: signalOf(options),
      emit: tell,
      ...(options.estimate === true && { foretell: (done) => foretell({ config: opened, size, done, log }) }),
    });
    emit({ kind: 'done', iter: result.iteration, checkpoint: result.checkpoint, best: result.best });
    return result;
  });
}
