/** One file of the hub into its cache: goes on where an interrupted download stopped, and is checked before it counts. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { constants, copyFile, mkdir, open, rename, rm, stat, symlink } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../../base/errors.js';
import { syncFile } from '../../base/sync-file.js';

export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  readonly url: string;
  /** name of its content in the cache, as other hub clients choose it */
  readonly etag: string;
  /** undefined where the hub gives none that can be computed */
  readonly checksum: { readonly algorithm: 'sha256' | 'git-sha1'; readonly value: string } | undefined;
}

export interface DownloadSettings {
  readonly fetch: typeof fetch;
  readonly headers: Readonly<Record<string, string>>;
  /** stops the download; what is there stays for the next time */
  readonly signal: AbortSignal;
  /** called with the bytes that have become available; negative when a damaged part is dropped */
  readonly onBytes: (count: number) => void;
  /** before the first repeat; doubles with each */
  readonly retryDelayMs: number;
}

/** Failures in a row, without a byte of progress, after which a download gives up. */
const MAX_FAILURES = 5;
/** Answers that trying again does not change. */
const REFUSALS = new Set([400, 401, 403, 404, 410]);
/** A connection that is silent for so long counts as broken. */
const STALL_MS = 60_000;

/**
 * Puts a file at `snapshot/path` as a link to `blobs/etag`, downloading what is missing.
 * @throws UserError when the server refuses or breaks off, the content does not fit its checksum, or the disk is full
 */
export async function fetchIntoCache(
  storage: string,
  snapshot: string,
  file: RemoteFile,
  settings: DownloadSettings,
): Promise<void> {
  const pointer = join(snapshot, file.path),
    blob = join(storage, 'blobs', file.etag);
  try {
    if ((await sizeOf(pointer)) !== file.size) {
      await mkdir(dirname(blob), { recursive: true });
      await mkdir(dirname(pointer), { recursive: true });
      if ((await sizeOf(blob)) !== file.size) await download(blob, file, settings);
      else settings.onBytes(file.size);
      if ((await sizeOf(pointer)) !== file.size) await point(pointer, blob);
    } else {
      settings.onBytes(file.size);
    }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (!code || !syscall || error instanceof UserError) throw error;
    throw new UserError(
      `${blob}: cannot be written (${code}); is there space, and may you write there? HF_HOME names another cache`,
      { cause: error },
    );
  }
}

const sizeOf = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.size ?? -1;

/** Links are relative, so that the cache can be moved. Where links are not allowed (Windows), a copy serves. */
async function point(pointer: string, blob: string): Promise<void> {
  await rm(pointer, { force: true });
  await symlink(relative(dirname(pointer), blob), pointer).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPERM') await copyFile(blob, pointer);
    else if (error.code !== 'EEXIST') throw error; // another process was faster
  });
}

async function download(blob: string, file: RemoteFile, settings: DownloadSettings): Promise<void> {
  const incomplete = `${blob}.incomplete`;
  for (let failures = 1; ; failures++) {
    try {
      await receiveChecked(incomplete, file, settings);
      return await rename(incomplete, blob);
    } catch (error) {
      // Another process fetches the same file. It has finished and renamed the part that both wrote, or dropped a bad one.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      if ((await sizeOf(blob)) === file.size) return;
      if (failures === MAX_FAILURES) throw error;
    }
  }
}

async function receiveChecked(incomplete: string, file: RemoteFile, settings: DownloadSettings): Promise<void> {
  let have = Math.max(0, await sizeOf(incomplete));
  if (have > file.size) have = await drop(incomplete);
  settings.onBytes(have);
  for (let damaged = 0; ; damaged++) {
    await receive(incomplete, have, file, settings);
    const actual = await checksum(incomplete, file);
    if (actual === file.checksum?.value) return;
    settings.onBytes(-file.size);
    have = await drop(incomplete);
    // A part from an earlier try may have been bad: once more, from the start.
    if (damaged > 0)
      throw new UserError(
        `${file.url}: the content does not fit its checksum (${file.checksum?.algorithm} ${actual}, expected ${file.checksum?.value}); the server or a proxy alters it, try again later or another HF_ENDPOINT`,
        { code: 'DOWNLOAD_FAILED' },
      );
  }
}

async function drop(incomplete: string): Promise<0> {
  await rm(incomplete, { force: true });
  return 0;
}

/** Brings a partial file of `have` bytes to full size; a request that breaks off is followed by one for the rest. */
async function receive(incomplete: string, have: number, file: RemoteFile, settings: DownloadSettings): Promise<void> {
  if (have === file.size && have > 0) return;
  let at = have,
    failures = 0,
    problem: unknown;
  for (;;) {
    const before = at;
    try {
      at = await receiveSome(incomplete, at, file, settings);
      if (at === file.size) return;
      problem = new Error('it ended early');
    } catch (error) {
      if (error instanceof UserError || settings.signal.aborted || isDiskError(error)) throw error;
      at = Math.max(0, await sizeOf(incomplete));
      problem = error;
    }
    failures = at > before ? 1 : failures + 1;
    if (failures === MAX_FAILURES) {
      throw new UserError(
        `${file.url}: the download breaks off at ${at} of ${file.size} bytes (${reason(problem)}); run the same command again, it goes on from there`,
        { cause: problem, code: 'DOWNLOAD_FAILED' },
      );
    }
    await sleep(settings.retryDelayMs * 2 ** (failures - 1), undefined, { signal: settings.signal });
  }
}

/** fetch wraps what its sockets throw, so an error with a system call of its own is the disk's. */
const isDiskError = (error: unknown): boolean =>
  ['open', 'write', 'fsync'].includes((error as NodeJS.ErrnoException).syscall ?? '');

/** What went wrong below `fetch failed`: `ECONNREFUSED`, `ENOTFOUND`, ... */
export function reason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
}

/** One request from byte `at` on. @returns the file's size after it */
async function receiveSome(
  incomplete: string,
  at: number,
  file: RemoteFile,
  settings: DownloadSettings,
): Promise<number> {
  // One controller for both reasons: Node 20 may collect the signal of AbortSignal.any.
  const stop = new AbortController(),
    { signal } = stop,
    pass = (): void => stop.abort(settings.signal.reason);
  settings.signal.addEventListener('abort', pass, { once: true });
  if (settings.signal.aborted) pass();
  const timer = setTimeout(() => stop.abort(new Error(`no data for ${STALL_MS / 1000} s`)), STALL_MS);
  try {
    const response = await settings.fetch(file.url, {
      headers: { ...settings.headers, ...(at > 0 ? { Range: `bytes=${at}-` } : {}) },
      signal,
    });
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      if (response.status === 416) {
        settings.onBytes(-at);
        await drop(incomplete); // the server's file ends before: the part is of something else
      }
      if (REFUSALS.has(response.status))
        throw new UserError(
          `${file.url}: the hub answers ${response.status}; is it gated or private? accept its terms there and set HF_TOKEN`,
          { code: 'DOWNLOAD_FAILED' },
        );
      throw new Error(`status ${response.status}`);
    }
    if (response.status !== 206) {
      settings.onBytes(-at); // a server that knows no ranges sends the whole file again
      at = 0;
    }
    // Written by position and never cut, so that processes that fetch the same file write the same bytes to the same place.
    const target = await open(incomplete, constants.O_WRONLY | constants.O_CREAT);
    // Node 20's fetch can leave a read waiting for ever when it is aborted; cancelling the reader ends it.
    const reader = response.body.getReader() as ReadableStreamDefaultReader<Uint8Array>;
    signal.addEventListener('abort', () => void reader.cancel(signal.reason).catch(() => undefined), { once: true });
    try {
      signal.throwIfAborted();
      for (
        let { done, value: chunk } = await reader.read();
        !done && chunk;
        { done, value: chunk } = await reader.read()
      ) {
        timer.refresh();
        if (at + chunk.length > file.size)
          throw new UserError(
            `${file.url}: the server sends more than the ${file.size} bytes announced; try again later`,
            { code: 'DOWNLOAD_FAILED' },
          );
        for (let sent = 0; sent < chunk.length;)
          sent += (await target.write(chunk, sent, chunk.length - sent, at + sent)).bytesWritten;
        at += chunk.length;
        settings.onBytes(chunk.length);
      }
      signal.throwIfAborted();
      await syncFile(target);
    } finally {
      await target.close();
      void reader.cancel().catch(() => undefined); // after an error of ours the connection is still open
    }
    return at;
  } finally {
    clearTimeout(timer);
    settings.signal.removeEventListener('abort', pass);
  }
}

/** sha256 of the content, or git's sha1 of a blob: that of `blob <size>`, a zero byte and the content. */
async function checksum(path: string, { checksum: wanted, size }: RemoteFile): Promise<string | undefined> {
  if (!wanted) return undefined;
  const hash = wanted.algorithm === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
