/** The file of one run: whole after every row, so that what was measured is kept whatever happens next. */
import { execFileSync } from 'node:child_process';
import { basename, isAbsolute, join } from 'node:path';
import { writeFileAtomic } from '../src/base/atomic-file.js';
import { machineName } from './machine.js';
import { copyBandwidth, processor } from './processor.js';

export class Results<Row> {
  readonly rows: Row[] = [];
  readonly path: string;
  private readonly head: Record<string, unknown>;

  /** @param kind what was measured: steps, job, growth, soak, startup */
  constructor(folder: string, kind: string, command: readonly string[], now = new Date()) {
    const commit = commitName();
    this.head = {
      kind,
      command: ['npm run bench --', ...command.map((word) => (isAbsolute(word) ? basename(word) : word))].join(' '), // others have other paths
      commit,
      date: now.toISOString(),
      machine: machineName(),
      processor: processor(),
      copy_gb_per_s: copyBandwidth(),
      node: process.version,
    };
    this.path = join(
      folder,
      `${now.toISOString().slice(0, 19).replaceAll(/[:-]/g, '')}-${commit}${kind === 'steps' ? '' : `-${kind}`}.json`,
    );
  }

  async add(row: Row): Promise<void> {
    this.rows.push(row);
    await this.write({});
  }

  /** @param more figures of the run as a whole */
  async write(more: Readonly<Record<string, unknown>>): Promise<void> {
    await writeFileAtomic(this.path, `${JSON.stringify({ ...this.head, ...more, rows: this.rows }, null, 1)}\n`);
  }
}

/** "-dirty" when what is measured is not what was committed. */
function commitName(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return (
      git('rev-parse', '--short', 'HEAD') +
      (git('status', '--porcelain', '--untracked-files=no', '--', 'src', 'bench') === '' ? '' : '-dirty')
    );
  } catch {
    return 'unknown';
  }
}
