/** Tells when files of one folder change: by the system where it can, else by looking every few seconds. */
import { watch } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export type OnChange = (name: string, kind: 'rename' | 'change') => void;

export interface FolderWatch {
  close(): void;
}

const LOOK_MS = 3000;

/** @param onChange is told the name of what changed in the folder itself, not below */
export function watchFolder(path: string, onChange: OnChange): FolderWatch {
  let current: FolderWatch;
  const look = (): void => {
    current = pollFolder(path, onChange);
  };
  try {
    const watcher = watch(path, { persistent: false }, (kind, name) => {
      if (name !== null) onChange(name, kind);
    });
    watcher.on('error', () => {
      watcher.close();
      look();
    });
    current = watcher;
  } catch {
    look(); // no more watches are left, or the file system has none
  }
  return { close: () => current.close() };
}

/** One look at the folder itself; at its files only when one of them came, went or was replaced. */
export function pollFolder(path: string, onChange: OnChange, lookMs = LOOK_MS): FolderWatch {
  let before: Map<string, string> | undefined,
    seen = 0;
  const look = async (): Promise<void> => {
    const time = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
    if (before && time === seen) return;
    const now = await contents(path);
    for (const [name, key] of now) if (before && before.get(name) !== key) onChange(name, 'rename');
    for (const name of before?.keys() ?? []) if (!now.has(name)) onChange(name, 'rename');
    before = now;
    seen = time;
  };
  void look();
  const timer = setInterval(() => void look(), lookMs).unref();
  return { close: () => clearInterval(timer) };
}

/** A key for each file that differs when it has changed. */
async function contents(path: string): Promise<Map<string, string>> {
  const names = await readdir(path).catch(() => []);
  const keys = await Promise.all(
    names.map(async (name) => {
      const info = await stat(join(path, name)).catch(() => undefined);
      return [name, `${info?.ino} ${info?.size} ${info?.mtimeMs}`] as const;
    }),
  );
  return new Map(keys);
}
