/** Where an output really goes: behind symbolic links, and whether a file may stand there. */
import { access, constants, lstat, mkdir, open, readlink, stat, type FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { fstatSync, type Stats } from 'node:fs';
import { UserError } from './errors.js';

/** A file is replaced whole. A stream (a pipe, a terminal, /dev/null) is written through: it must stay what it is. */
export interface OutputPlace {
  readonly kind: 'file' | 'stream';
  /** of a file: behind all symbolic links, so that the links stay */
  readonly path: string;
}

/** As Linux: a chain of more links is a circle. */
const MAX_LINKS = 40;
/** Of these, `/proc/self/fd/1` and its like, a file is written through too: whoever opened it holds it. */
const OPEN_FILES = /^\/(?:proc\/(?:self|thread-self|\d+)(?:\/task\/\d+)?\/fd|dev\/fd)\/\d+$/;
/** How long to wait for the reader of a named pipe. */
const READER_WAIT_MS = 5000;

/**
 * Looks at what stands in the place of an output file; changes nothing. Commands ask before long work.
 * @throws UserError for a folder, a socket, a disk device, a circle of links, a file or folder without permission
 */
export async function outputPlace(path: string): Promise<OutputPlace> {
  const refuse = (what: string, cause?: unknown): UserError =>
    new UserError(`${path}: ${what}; choose another name for the output`, { cause });
  if (path === '' || path.endsWith('/')) throw refuse(path === '' ? 'an empty path' : 'a folder, by its last sign');
  let at = path;
  for (let links = 0; ; links++) {
    if (links > MAX_LINKS) throw refuse('a symbolic link that leads in a circle');
    if (OPEN_FILES.test(resolve(at))) return { kind: 'stream', path: at };
    const info = await lstat(at).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw refuse(`cannot be written (${error.code})`, error);
    });
    if (!info) {
      await requireFolder(dirname(resolve(at)), refuse);
      return { kind: 'file', path: at };
    }
    if (!info.isSymbolicLink()) return { kind: await kindOf(at, info, refuse), path: at };
    const target = await readlink(at);
    at = isAbsolute(target) ? target : join(dirname(at), target);
  }
}

async function kindOf(path: string, info: Stats, refuse: (what: string) => UserError): Promise<OutputPlace['kind']> {
  if (info.isDirectory()) throw refuse('a folder, not a file');
  if (info.isSocket()) throw refuse('a socket, which cannot be opened for writing');
  if (info.isBlockDevice()) throw refuse('a disk device, which is not written over');
  if (info.isCharacterDevice() && !(await takesBytes(path, info)))
    throw refuse('a device, which is not written to; a terminal or /dev/null would be');
  await access(path, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw refuse(`cannot be written (${error.code})`);
  });
  return info.isFile() ? 'file' : 'stream';
}

/** Of character devices, those that swallow bytes or show them; bytes could harm others, such as a disk's raw device. */
async function takesBytes(path: string, { rdev }: Stats): Promise<boolean> {
  if (/^\/dev\/(?:tty\w*|pts\/\d+|console)$/.test(resolve(path))) return true;
  const sinks = await Promise.all(['/dev/null', '/dev/full'].map((sink) => stat(sink).catch(() => undefined)));
  return sinks.some((sink) => sink?.rdev === rdev);
}

/** Where an output is the program's own standard output, its lines belong elsewhere. */
export async function isStdout({ kind, path }: OutputPlace): Promise<boolean> {
  if (kind === 'file') return false;
  const [there, own] = [await stat(path), fstatSync(1)];
  return there.dev === own.dev && there.ino === own.ino;
}

/** The folder of a new file is there and may be written, or can be made. */
async function requireFolder(folder: string, refuse: (what: string, cause?: unknown) => UserError): Promise<void> {
  const info = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw refuse(`cannot be written (${error.code})`, error);
  });
  if (!info) {
    if (dirname(folder) !== folder) await requireFolder(dirname(folder), refuse);
    return;
  }
  if (!info.isDirectory()) throw refuse(`cannot be written: ${folder} is not a folder`);
  await access(folder, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw refuse(`cannot be written: nothing may be made in ${folder} (${error.code})`, error);
  });
}

/**
 * Opens a stream for writing; of a named pipe, waits a few seconds for its reader.
 * @throws UserError when nobody reads the pipe
 */
export async function openStream(path: string): Promise<FileHandle> {
  if (!(await stat(path)).isFIFO()) return open(path, constants.O_WRONLY);
  // An open that waits for a reader cannot be called off, and would hold one of Node's few threads.
  for (const end = performance.now() + READER_WAIT_MS; ;) {
    try {
      const probe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK);
      const handle = await open(path, constants.O_WRONLY); // at once: the probe keeps the reader
      await probe.close();
      return handle;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      if (performance.now() > end)
        throw new UserError(`${path}: a pipe that nobody reads; start its reader first`, { cause: error });
    }
    await new Promise((done) => setTimeout(done, 50));
  }
}

/**
 * As `mkdir -p`. Node's own recursion never returns where a parent refuses with ENOENT, as /proc does.
 * @throws Error with the system's code
 */
export async function makeFolder(folder: string): Promise<void> {
  const isFolder = (): Promise<boolean | undefined> =>
    stat(folder).then(
      (info) => info.isDirectory(),
      (error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
        return undefined;
      },
    );
  const there = await isFolder();
  if (there) return;
  if (there === undefined && dirname(folder) !== folder) await makeFolder(dirname(folder));
  await mkdir(folder).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST' || !(await isFolder())) throw error; // EEXIST: somebody else was faster
  });
}
