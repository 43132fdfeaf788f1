/** A whole training run from a merged config: work dir, log, device, signals, and what is said at the end. */
import type { Backend } from '../backends/backend.js';
import type { DatasetServices } from '../datasets/dataset.js';
import { ConsoleLogger } from '../loggers/console-logger.js';
import { Rng } from '../random/rng.js';
import type { Build, Logger } from '../registry/tokens.js';
import { buildRun, type RunConfig } from './build-run.js';
import { Interrupt } from './interrupt.js';
import { Runner, type Resume, type TrainResult } from './runner.js';
import { readable, WorkDir } from './work-dir.js';

/** What components may be given; `build` hands it out. */
export interface ComponentServices {
  readonly logger: Logger;
  readonly workDir: WorkDir;
  readonly rng: Rng;
  readonly cacheDir: string;
}

export interface TrainOptions {
  /** merged and validated */
  readonly config: RunConfig & { readonly randomness?: { readonly seed?: number } };
  /** the config as it is written to the work dir */
  readonly yaml: string;
  readonly workDir: string;
  readonly resume?: Resume;
  readonly log: ConsoleLogger;
  readonly cacheDir: string;
  readonly resolveDataset: DatasetServices['resolveDataset'];
  /** Builds the device and then, with it, everything else. */
  readonly components: (services: ComponentServices) => { backend: Backend; build: Build };
}

export interface TrainOutcome extends TrainResult {
  readonly workDir: string;
}

/**
 * @throws Interrupted after a signal, with `exitCode` for the process; UserError for what the user can mend
 */
export async function train({ config, yaml, workDir: path, resume, log, cacheDir, resolveDataset, components }: TrainOptions): Promise<TrainOutcome> {
  const workDir = await WorkDir.open(path);
  const interrupt = new Interrupt(log);
  const seed = config.randomness?.seed ?? 0;
  let backend: Backend | undefined;
  try {
    log.writeTo(workDir.file(`${timestamp(new Date())}.log`));
    await workDir.write('config.yaml', yaml);
    const rng = new Rng(seed);
    const built = components({ logger: log, workDir, rng, cacheDir });
    backend = built.backend;
    log.info(`work dir   ${workDir.path}`);
    const parts = buildRun(config, { ...built, workDir, rng, log, signal: interrupt.signal, datasetServices: { cacheDir, resolveDataset } });
    return { ...await new Runner(parts).train(resume), workDir: workDir.path };
  } catch (error) {
    if (interrupt.exitCode !== 0) process.exitCode = interrupt.exitCode;
    log.debug(error instanceof Error ? String(error.stack) : String(error)); // for the log file; the caller shows the message
    throw isFull(error) ? readable(error, error.path ?? workDir.path) : error;
  } finally {
    interrupt.dispose();
    await backend?.dispose();
    await workDir.close();
  }
}

/** Whatever was being written, by whichever hook. */
function isFull(error: unknown): error is NodeJS.ErrnoException {
  return ['ENOSPC', 'EDQUOT', 'EROFS'].includes((error as NodeJS.ErrnoException)?.code ?? '');
}

/** 20240131_235959, as mmengine names its logs. */
function timestamp(now: Date): string {
  return now.toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_');
}
