/** The command line that makes a run again, from what `train` was given. */
import { join, relative } from 'node:path';
import { stringify } from 'yaml';
import { shellWord } from '../base/shell-word.js';
import type { Collectives } from '../collectives/collectives.js';
import type { Launcher } from '../collectives/launchers.js';
import type { CfgOptions } from '../registry/cfg-options.js';

export interface CommandFacts {
  /** a name or file; anything else was made by a program */
  readonly config: unknown;
  readonly options?: CfgOptions | undefined;
  readonly backend?: string | object | undefined;
  /** as it was given */
  readonly workDir?: string | undefined;
  /** where the run writes */
  readonly place: string;
  readonly launcher?: Launcher | undefined;
  readonly ranks: Pick<Collectives, 'size'>;
}

/** A config of a program's own has no command line: its copy in the work dir has. */
export function trainCommand({ config, options = [], backend, workDir, place, launcher, ranks }: CommandFacts): string {
  const isNamed = typeof config === 'string';
  const words = isNamed
    ? ['train', config, ...(workDir === undefined ? [] : ['--work-dir', workDir])]
    : ['train', join(near(place), 'config.yaml'), '--work-dir', near(place)];
  if (isNamed && typeof backend === 'string') words.push('--backend', backend);
  const given = isNamed ? assignments(options, backend) : []; // the copy has them
  if (given.length > 0) words.push('--cfg-options', ...given);
  if (ranks.size > 1) words.push('--gpus', String(ranks.size), '--launcher', launcher === 'slurm' ? 'slurm' : 'mpi');
  const started = ranks.size > 1 && launcher === 'slurm' ? [`srun --ntasks=${ranks.size}`] : [];
  const note = isNamed ? [] : ['# a program started it: list its own components in custom_imports'];
  return [...started, 'npx diffengine', ...words.map(shellWord), ...note].join(' ');
}

function assignments(options: CfgOptions, backend: string | object | undefined): string[] {
  const list = Array.isArray(options)
    ? (options as readonly string[])
    : Object.entries(options).map(([path, value]) => `${path}=${inline(value)}`);
  return [...list, ...(typeof backend === 'object' ? [`backend=${inline(backend)}`] : [])];
}

/** YAML in one line. */
const inline = (value: unknown): string =>
  typeof value === 'string' ? value : stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();

const near = (path: string): string => relative('.', path) || '.';
