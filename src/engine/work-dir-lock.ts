/** A lock file that names its process, so that the lock of a killed run is recognised and taken over. */
import { link, lstat, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { UserError } from '../base/errors.js';

export interface Lock {
  release(): Promise<void>;
}

/** Who holds a lock. */
export interface Owner {
  readonly pid: number;
  readonly host: string;
  /** start of the process in clock ticks since boot, where the system tells: process ids are used again */
  readonly started: string;
}

/** @throws UserError when a running process holds the lock */
export async function acquireLock(path: string): Promise<Lock> {
  const mine = JSON.stringify({ pid: process.pid, host: hostname(), started: startOf(process.pid) } satisfies Owner);
  const aside = `${path}.${process.pid}.tmp`;
  await writeFile(aside, mine);
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await link(aside, path); // fails when the name exists, and the file is never seen half-written
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 3) throw error;
        await evictStale(path);
      }
    }
  } finally {
    await rm(aside, { force: true });
  }
  return {
    release: async () => {
      if ((await readFile(path, 'utf8').catch(() => '')) === mine) await rm(path, { force: true });
    },
  };
}

/** Who holds a lock now: undefined where there is none, or its process is gone. */
export async function lockOwner(path: string): Promise<Owner | undefined> {
  const owner = parse(await readFile(path, 'utf8').catch(() => ''));
  return owner && isRunning(owner) ? owner : undefined;
}

async function evictStale(path: string): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (info && !info.isFile())
    throw new UserError(`${path}: is there and is no regular file, so it is no lock of a run; move it away`);
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return; // released meanwhile
  const owner = parse(text);
  if (owner && isRunning(owner)) {
    throw new UserError(
      `${dirname(path)}: in use by another run (process ${owner.pid} on ${owner.host}); wait for it, or choose another folder with --work-dir`,
      { code: 'WORK_DIR_IN_USE' },
    );
  }
  // Renaming, not removing: of two processes that find the same stale lock, the slower one must not remove the winner's.
  const moved = `${path}.stale-${process.pid}.tmp`;
  await rename(path, moved).catch(() => undefined);
  if ((await readFile(moved, 'utf8').catch(() => text)) !== text) await link(moved, path).catch(() => undefined);
  await rm(moved, { force: true });
}

function parse(text: string): Owner | undefined {
  try {
    return JSON.parse(text) as Owner;
  } catch {
    return undefined;
  }
}

/** Locks of other hosts count as held: their processes cannot be seen from here. */
function isRunning({ pid, host, started }: Owner): boolean {
  if (host !== hostname()) return true;
  if (pid === process.pid) return started === startOf(pid);
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // exists, but is somebody else's
  }
  return started === startOf(pid);
}

/** Field 22 of /proc/<pid>/stat (proc(5)); 'zombie' for a dead process that nobody waited for; empty without /proc. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from field 3 on; field 2 is a name in parentheses
    return fields[0] === 'Z' ? 'zombie' : fields[22 - 3];
  } catch {
    return '';
  }
}
