/** Joins the processes that mpirun or srun started. */
import { UserError } from '../base/errors.js';
import { ALONE, type Collectives } from './collectives.js';
import { placeOf, thisHost, type Launcher } from './launchers.js';
import { MpiCollectives } from './mpi-collectives.js';
import { LIBRARY_VARIABLE, openMpiLibrary } from './mpi-library.js';

/**
 * @returns this process among the others; alone when nobody started several
 * @throws UserError when MPI is missing, or is not the one that started the processes
 */
export async function joinRanks(launcher: Launcher = 'none'): Promise<Collectives> {
  const place = placeOf(launcher);
  if (!place) return ALONE;
  const mpi = await openMpiLibrary(place);
  mpi.init();
  const size = mpi.size();
  if (size !== place.size) {
    mpi.finalize();
    throw new UserError(
      `--launcher ${launcher}: ${place.saidBy} processes were started, but ${mpi.version} on ${thisHost()} sees ${size}: it is not the MPI that started them${place.family && place.family !== mpi.family ? ` (${place.family})` : ''}. ` +
        `Start them with its own mpirun (srun: --mpi=pmix for Open MPI, --mpi=pmi2 for MPICH), or set ${LIBRARY_VARIABLE} to the library of the other`,
      { code: 'BACKEND_UNAVAILABLE' },
    );
  }
  return new MpiCollectives(mpi).open();
}
