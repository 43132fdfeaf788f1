/** Who started this process, and as which rank: what mpirun and srun say in the environment. */
import { hostname } from 'node:os';

/** As mmengine names them. `pytorch` is taken for `mpi`: there is no torchrun here. */
export const LAUNCHERS = ['none', 'mpi', 'slurm', 'pytorch'] as const;
export type Launcher = (typeof LAUNCHERS)[number];

export interface Place {
  readonly size: number;
  readonly rank: number;
  /** undefined where the launcher does not tell */
  readonly localRank: number | undefined;
  /** which MPI it belongs to, as far as the variables tell */
  readonly family: 'Open MPI' | 'MPICH' | undefined;
  /** the variable that says the size */
  readonly saidBy: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Names of size, rank and local rank. */
const VARIABLES = {
  openMpi: ['OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK'],
  mpich: ['PMI_SIZE', 'PMI_RANK', 'MPI_LOCALRANKID'],
  slurm: ['SLURM_NTASKS', 'SLURM_PROCID', 'SLURM_LOCALID'],
} as const;

/** This process among those that were started together; undefined when nobody started several. */
export function placeOf(launcher: Launcher, env: Environment = process.env): Place | undefined {
  if (launcher === 'none') return undefined;
  const read = ([size, rank, local]: readonly string[], family: Place['family']): Place | undefined => {
    const [n, k, l] = [size, rank, local].map((name) => Number(env[name] ?? NaN));
    if (!Number.isInteger(n) || !Number.isInteger(k)) return undefined;
    return { size: n, rank: k, localRank: Number.isInteger(l) ? l : undefined, family, saidBy: `${size}=${n}` };
  };
  const mpi = read(VARIABLES.openMpi, 'Open MPI') ?? read(VARIABLES.mpich, 'MPICH');
  // Inside of an allocation these are there without srun, too, so that they count only where they are asked for.
  return launcher === 'slurm' ? (read(VARIABLES.slurm, mpi?.family) ?? mpi) : mpi;
}

export const thisHost = (): string => hostname();
