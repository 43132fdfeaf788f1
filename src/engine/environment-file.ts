/** Writes `environment.json`: who makes a run, and how it ended. */
import { availableParallelism, cpus, totalmem } from 'node:os';
import type { Backend } from '../backends/backend.js';
import { Interrupted } from '../base/errors.js';
import { packageVersion } from '../base/version.js';
import type { RunEnd, RunEnvironment } from './run-environment.js';
import type { WorkDir } from './work-dir.js';

/** In the work dir. */
export const ENVIRONMENT_FILE = 'environment.json';

export class EnvironmentFile {
  private readonly environment: RunEnvironment;

  /** @param command that makes the run again */
  constructor(
    private readonly workDir: WorkDir,
    command: string,
    private readonly backend: Pick<Backend, 'name'>,
  ) {
    this.environment = {
      command,
      diffengine: packageVersion,
      node: process.version,
      platform: `${process.platform} ${process.arch}`,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memory: Math.round((totalmem() / 2 ** 30) * 10) / 10,
      backend: backend.name,
      started: now(),
    };
  }

  start(): Promise<void> {
    return this.write(this.environment);
  }

  done(): Promise<void> {
    return this.end({ at: now(), how: 'done' });
  }

  /** @param error that ends the run, or the signal that did */
  failed(error: unknown): Promise<void> {
    if (error instanceof Interrupted) return this.end({ at: now(), how: 'stopped' });
    return this.end({ at: now(), how: 'failed', error: error instanceof Error ? error.message : String(error) });
  }

  private end(end: RunEnd): Promise<void> {
    return this.write({ ...this.environment, backend: this.backend.name, end }); // TfjsBackend's says more by now
  }

  private write(environment: RunEnvironment): Promise<void> {
    return this.workDir.write(ENVIRONMENT_FILE, `${JSON.stringify(environment, null, 2)}\n`);
  }
}

const now = (): number => Math.round(Date.now() / 1000);
