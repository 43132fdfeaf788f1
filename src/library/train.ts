import { join } from 'node:path';
import { Interrupted } from '../base/errors.js';
import type { EmitEvent, LogEvent, TrainEvent } from '../engine/run-events.js';
import type { TrainResult } from '../engine/runner.js';
import { runTraining } from '../engine/train.js';
import { STOP_REASONS, type Collectives, type StopReason } from '../collectives/collectives.js';
import { joinRanks } from '../collectives/join.js';
import { LAUNCHERS, type Launcher } from '../collectives/launchers.js';
import { RunLog } from '../loggers/run-log.js';
import type { ConfigInput } from '../registry/define-config.js';
import { foretell } from '../planning/estimate.js';
import { FLAG, logOf, optionsOf, signalOf, TEXT, type CallOptions } from './call-options.js';
import { CONFIG_OPTIONS, openConfig, type ConfigOptions } from './open-config.js';
import { trainCommand } from './train-command.js';
import { TrainingRun } from './training-run.js';

export interface TrainOptions extends CallOptions, ConfigOptions {
  /** Where log, checkpoints and pictures go. Default: the config's `work_dir`, else `work_dirs/<config name>`. */
  readonly workDir?: string | undefined;
  /** Go on from the work dir's last checkpoint (from the start when there is none), or from the checkpoint at a path. */
  readonly resume?: boolean | string | undefined;
  /** Say first in the log what the run will cost, as `plan` does in more words; takes seconds. Default false. */
  readonly estimate?: boolean | undefined;
  /**
   * Who started this process and its like (docs/distributed.md): mpi for mpirun, slurm for srun; pytorch is taken for mpi.
   * Default: none, one process alone. A process joins one run of several ranks in its life: MPI begins and ends with it.
   */
  readonly launcher?: Launcher | undefined;
}

const check = optionsOf<TrainOptions>({
  ...CONFIG_OPTIONS,
  workDir: TEXT,
  resume: { type: ['boolean', 'string'] },
  estimate: FLAG,
  launcher: { enum: [...LAUNCHERS] },
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
    const ranks = await joinRanks(options.launcher);
    try {
      return await trainAsRank(config, options, ranks, emit);
    } catch (error) {
      throw error instanceof Interrupted ? error : await ranks.fail(error);
    } finally {
      await ranks.finalize();
    }
  });
}

async function trainAsRank(
  config: string | ConfigInput,
  options: TrainOptions,
  ranks: Collectives,
  emit: EmitEvent,
): Promise<TrainResult> {
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
  const resume = options.resume === false ? undefined : options.resume,
    signal = signalOf(options);
  const stop = (): void => ranks.askToStop(stopReason(signal.reason));
  signal.addEventListener('abort', stop);
  try {
    const result = await runTraining({
      config: opened,
      workDir,
      resume,
      log,
      signal,
      ranks,
      emit: tell,
      command: trainCommand({ ...options, config, place: workDir, ranks }),
      ...(options.estimate === true &&
        ranks.rank === 0 && { foretell: (done) => foretell({ config: opened, size, done, log }) }),
    });
    emit({ kind: 'done', iter: result.iteration, checkpoint: result.checkpoint, best: result.best });
    return result;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A signal's name, when that is the reason. */
const stopReason = (reason: unknown): StopReason =>
  STOP_REASONS.find((name) => reason instanceof Error && reason.message === name) ?? 'SIGINT';
