/**
 * An MPI library of this machine through koffi. Handles differ between the two families, so there is a table for each:
 * Open MPI's are addresses of its symbols, MPICH's are numbers (mpi.h of both; MPI.jl keeps the same tables). The third is
 * the standard ABI of MPI 5.0 (appendix A), which MPICH 4.3 and later, and Open MPI from 6.0 on, offer under a name of its own.
 */
import type * as KoffiModule from 'koffi';
import { UserError } from '../base/errors.js';
import { thisHost, type Place } from './launchers.js';

type Handle = bigint | number;

export interface MpiLibrary {
  /** its own words, the first line: "Open MPI v4.1.4, ..." */
  readonly version: string;
  readonly family: 'Open MPI' | 'MPICH' | 'MPI 5.0';
  init(): void;
  rank(): number;
  size(): number;
  /** Starts a gather of equal numbers of bytes. @returns asks whether it is done */
  startAllGather(send: Uint8Array, receive: Uint8Array): () => boolean;
  allGather(send: ArrayBufferView, receive: ArrayBufferView, bytes: number): void;
  allToAll(send: ArrayBufferView, receive: ArrayBufferView, bytes: number): void;
  broadcast(data: ArrayBufferView, bytes: number, from: number): void;
  abort(code: number): void;
  finalize(): void;
}

interface Abi {
  readonly family: MpiLibrary['family'];
  readonly handle: 'intptr' | 'int';
  readonly world: Handle;
  readonly byte: Handle;
  readonly errorsReturn: Handle;
  /** MPI_THREAD_FUNNELED: one thread calls */
  readonly funneled: number;
}

const MPICH: Abi = {
  family: 'MPICH',
  handle: 'int',
  world: 0x44000000,
  byte: 0x4c00010d,
  errorsReturn: 0x54000001,
  funneled: 1,
};
const STANDARD: Abi = {
  family: 'MPI 5.0',
  handle: 'intptr',
  world: 0x101n,
  byte: 0x247n,
  errorsReturn: 0x143n,
  funneled: 1024,
};

/** Names by which systems know the libraries, by family. */
const NAMES: Readonly<Record<'Open MPI' | 'MPICH' | 'MPI 5.0', readonly string[]>> = {
  'Open MPI': process.platform === 'darwin' ? ['libmpi.40.dylib', 'libmpi.dylib'] : ['libmpi.so.40', 'libmpi.so'],
  MPICH:
    process.platform === 'win32'
      ? ['msmpi.dll']
      : process.platform === 'darwin'
        ? ['libmpi.12.dylib', 'libmpich.dylib', 'libmpi.dylib']
        : ['libmpi.so.12', 'libmpich.so.12', 'libmpich.so'],
  'MPI 5.0': process.platform === 'darwin' ? ['libmpi_abi.0.dylib'] : ['libmpi_abi.so.0'],
};

/** What a user may set when the library has another name or place. */
export const LIBRARY_VARIABLE = 'DIFFENGINE_MPI_LIB';

export const INSTALL_ADVICE =
  'install Open MPI (Debian and Ubuntu: apt-get install openmpi-bin; macOS: brew install open-mpi; clusters: module load openmpi)';

/** @throws UserError saying what to install */
export async function openMpiLibrary(place: Place | undefined): Promise<MpiLibrary> {
  const { default: koffi } = await import('koffi').catch((error: Error) => {
    throw new UserError(
      `--launcher: the package koffi, through which MPI is called, does not load (${error.message.split('\n')[0]}); install it with "npm install koffi@3.3.4", or leave out --omit=optional`,
      { code: 'BACKEND_UNAVAILABLE' },
    );
  });
  const asked = process.env[LIBRARY_VARIABLE];
  const own = place?.family ? NAMES[place.family] : [];
  const names = asked ? [asked] : [...new Set([...own, ...Object.values(NAMES).flat()])];
  const refused: string[] = [];
  for (const name of names) {
    try {
      // Its parts are libraries of their own that look for its symbols, so they are global.
      const library = koffi.load(name, { global: true, lazy: true });
      return bind(library, name);
    } catch (error) {
      refused.push(`${name}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  throw new UserError(
    asked
      ? `${LIBRARY_VARIABLE}=${asked}: does not load (${refused[0]}); give the file of an MPI library, such as /usr/lib/x86_64-linux-gnu/libmpi.so.40`
      : `--launcher: no MPI library on ${thisHost()} (looked for ${names.join(', ')}); ${INSTALL_ADVICE}, or name its library with ${LIBRARY_VARIABLE}`,
    { code: 'BACKEND_UNAVAILABLE' },
  );
}

type Library = KoffiModule.LibraryHandle;

function abiOf(library: Library, name: string): Abi {
  const address = (symbol: string): bigint => library.symbol(symbol) as unknown as bigint;
  try {
    return {
      family: 'Open MPI',
      handle: 'intptr',
      world: address('ompi_mpi_comm_world'),
      byte: address('ompi_mpi_byte'),
      errorsReturn: address('ompi_mpi_errors_return'),
      funneled: 1,
    };
  } catch {
    return name.includes('mpi_abi') ? STANDARD : MPICH;
  }
}

function bind(library: Library, name: string): MpiLibrary {
  const abi = abiOf(library, name),
    { handle, world, byte } = abi;
  const call = (symbol: string, ...types: string[]): ((...values: unknown[]) => void) => {
    const native = library.func(symbol, 'int', types);
    return (...values) => {
      const code = native(...values) as number;
      if (code !== 0) throw new Error(`${symbol} failed with code ${code} (${abi.family})`);
    };
  };
  const [init, rank, size, finalize, abort, errorHandler] = [
    call('MPI_Init_thread', 'void *', 'void *', 'int', 'void *'),
    call('MPI_Comm_rank', handle, 'void *'),
    call('MPI_Comm_size', handle, 'void *'),
    call('MPI_Finalize'),
    call('MPI_Abort', handle, 'int'),
    call('MPI_Comm_set_errhandler', handle, handle),
  ];
  const broadcast = call('MPI_Bcast', 'void *', 'int', handle, 'int', handle);
  const exchange = ['void *', 'int', handle, 'void *', 'int', handle, handle];
  const allGather = call('MPI_Allgather', ...exchange),
    allToAll = call('MPI_Alltoall', ...exchange),
    startAllGather = call('MPI_Iallgather', ...exchange, 'void *'),
    test = call('MPI_Test', 'void *', 'void *', 'void *');
  // Larger than 64 bytes: V8 moves smaller arrays about.
  const out = new Int32Array(1024),
    request = new BigInt64Array(64),
    done = new Int32Array(64),
    status = new Uint8Array(1024);
  const read = (get: typeof rank): number => {
    get(world, out);
    return out[0];
  };
  return {
    version: versionOf(library),
    family: abi.family,
    init: () => {
      init(null, null, abi.funneled, out);
      errorHandler(world, abi.errorsReturn);
    },
    rank: () => read(rank),
    size: () => read(size),
    startAllGather: (send, receive) => {
      startAllGather(send, send.byteLength, byte, receive, send.byteLength, byte, world, request);
      return () => {
        test(request, done, status);
        return done[0] !== 0;
      };
    },
    allGather: (send, receive, bytes) => allGather(send, bytes, byte, receive, bytes, byte, world),
    allToAll: (send, receive, bytes) => allToAll(send, bytes, byte, receive, bytes, byte, world),
    broadcast: (data, bytes, from) => broadcast(data, bytes, byte, from, world),
    abort: (code) => abort(world, code),
    finalize: () => finalize(),
  };
}

/** May be asked before MPI is initialised. */
function versionOf(library: Library): string {
  const text = Buffer.alloc(8192 + 1), // MPI_MAX_LIBRARY_VERSION_STRING is at most 8192
    length = new Int32Array(64);
  library.func('MPI_Get_library_version', 'int', ['void *', 'void *'])(text, length);
  const [first = ''] = text.toString('latin1', 0, length[0]).replaceAll('\0', '').split('\n');
  return first
    .replace(/\s+/g, ' ')
    .replace(/^(Open MPI v[\w.]+).*/, '$1')
    .trim();
}
