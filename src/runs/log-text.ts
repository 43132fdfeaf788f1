/** The log of a run: the files of all its starts, one after the other. */
import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** `20240131_235959.log`, as the engine names them */
const NAME = /^\d{8}_\d{6}\.log$/;
/** bytes in one answer */
const MOST = 1 << 20;
const NEWLINE = 0x0a;

export const isLogFile = (name: string): boolean => NAME.test(name);

/** @returns its log files, oldest first */
export async function logFiles(workDir: string): Promise<string[]> {
  const entries = await readdir(workDir, { withFileTypes: true }).catch(() => []);
  return entries // a link could lead to anything
    .filter((entry) => entry.isFile() && isLogFile(entry.name))
    .map(({ name }) => name)
    .sort();
}

/** Seconds since 1970 of the first start. @param name of its log file */
export function startOfLog(name: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)/.exec(name) ?? [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`) / 1000;
}

/**
 * Whole lines, at most 1 MiB.
 * @param from byte of all files together; negative: so many before the end, from the next line on
 * @returns `next`: where the following read begins
 */
export async function readLog(workDir: string, from: number): Promise<{ text: string; next: number }> {
  const files = await Promise.all(
    (await logFiles(workDir)).map(async (name) => {
      const path = join(workDir, name);
      return { path, size: (await stat(path).catch(() => undefined))?.size ?? 0 };
    }),
  );
  const total = files.reduce((sum, { size }) => sum + size, 0),
    start = from < 0 ? Math.max(0, total + from) : from;
  const parts: Buffer[] = [];
  let left = MOST,
    before = 0;
  for (const { path, size } of files) {
    const offset = Math.max(0, start - before),
      length = Math.min(size - offset, left);
    if (length > 0) {
      parts.push(await readPart(path, offset, length));
      left -= length;
    }
    before += size;
  }
  const bytes = Buffer.concat(parts),
    end = bytes.lastIndexOf(NEWLINE) + 1,
    first = from < 0 && start > 0 ? bytes.indexOf(NEWLINE) + 1 : 0;
  return { text: bytes.toString('utf8', first, end), next: Math.min(start, total) + end };
}

async function readPart(path: string, offset: number, length: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
