/** A whole training run from a merged config: work dir, log, device. */
import { type Backend, BACKEND } from '../backends/backend.js';
import type { RunLogger } from '../base/logger.js';
import { stopIfAborted } from '../base/errors.js';
import { defaultCacheDir } from '../base/cache-dir.js';
import { resolveDataset } from '../formats/hub/hub.js';
import { Rng } from '../base/rng.js';
import { createBuild } from '../registry/container.js';
import { dumpConfig } from '../registry/dump.js';
import type { Tree } from '../registry/merge.js';
import { CACHE_DIR, LOGGER, RNG } from '../registry/tokens.js';
import { firstOfHost, type Collectives } from '../collectives/collectives.js';
import { WORK_DIR, readable, WorkDir } from './work-dir.js';
import { requireSameStart } from './same-ranks.js';
import { backendOfRank, ranksText } from './rank-backend.js';
import { buildBackend } from './build-backend.js';
import { EnvironmentFile } from './environment-file.js';
import { PHASES_FILE } from './phases.js';
import { buildRun, type RunConfig } from './build-run.js';
import type { EmitEvent } from './run-events.js';
import { Runner, type Resume, type TrainResult } from './runner.js';

export interface RunTrainingOptions {
  /** merged and validated; components must be loaded */
  readonly config: Tree;
  readonly workDir: string;
  readonly resume?: Resume;
  readonly log: RunLogger;
  /** aborted: the run saves a checkpoint after this step, and ends */
  readonly signal: AbortSignal;
  /** the processes that train together */
  readonly ranks: Collectives;
  readonly emit?: EmitEvent;
  /** the command that makes this run again */
  readonly command: string;
  /** says what the run will cost, before anything is made @param done iterations that a resumed run has behind it */
  readonly foretell?: (done: number) => Promise<void>;
}

/** Places of a config that are read here. */
interface RunPlaces {
  readonly backend?: object;
  readonly randomness?: { readonly seed?: number };
  readonly cache_dir?: string;
}

/** @throws Interrupted after the signal; UserError for what the user can mend */
export async function runTraining(options: RunTrainingOptions): Promise<TrainResult> {
  const { config: tree, workDir: path, resume, log, emit, ranks, foretell, command } = options;
  stopIfAborted(options.signal, 'train');
  await requireSameStart(ranks, tree);
  // Of several ranks each hears of a signal when it comes, and all act on it at the same point.
  const signal = ranks.size > 1 ? ranks.stop : options.signal;
  const config = tree as unknown as RunConfig & RunPlaces; // validateConfig has seen it
  const workDir = ranks.rank === 0 ? await WorkDir.open(path) : await WorkDir.temporary();
  let backend: Backend | undefined, environment: EnvironmentFile | undefined;
  try {
    log.writeTo(workDir.file(`${timestamp(new Date())}.log`));
    await workDir.write('config.yaml', dumpConfig(tree));
    log.info(`work dir   ${workDir.path}`);
    const rng = new Rng(config.randomness?.seed ?? 0),
      cacheDir = config.cache_dir ?? defaultCacheDir();
    const share = backendOfRank(config.backend, ranks);
    if (ranks.size > 1) log.info(`ranks      ${ranksText(config, share, ranks)}`);
    backend = buildBackend(share, log, cacheDir);
    environment = new EnvironmentFile(workDir, command, backend);
    await environment.start();
    const build = createBuild([
      [LOGGER, log],
      [WORK_DIR, workDir],
      [RNG, rng],
      [BACKEND, backend],
      [CACHE_DIR, cacheDir],
    ]);
    const datasetServices = {
      cacheDir,
      resolveDataset: (idOrPath: string) => firstOfHost(ranks, () => resolveDataset(idOrPath, { log })),
    };
    const services = { build, backend, workDir, ranks, rng, log, signal, emit, datasetServices };
    const runner = new Runner(buildRun(config, services), foretell);
    const result = await runner.train(resume);
    await workDir.write(PHASES_FILE, `${JSON.stringify(runner.phases.seconds, null, 2)}\n`);
    log.info(`time       ${runner.phases}`);
    await environment.done();
    return result;
  } catch (error) {
    log.debug(error instanceof Error ? String(error.stack) : String(error)); // for the log file; the caller shows the message
    await environment?.failed(error).catch(() => undefined); // the first error is the one to tell
    throw isFull(error) ? readable(error, error.path ?? workDir.path) : error;
  } finally {
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
