/** Small files of a work dir, read as they are; those that are missing or damaged say nothing. */
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'yaml';
import { isTree, type Tree } from '../registry/merge.js';
import { ENVIRONMENT_FILE } from '../engine/environment-file.js';
import { PHASES_FILE } from '../engine/phases.js';
import type { RunEnvironment } from './run-view.js';

/** Text and meaning of a config, parsed again only when the file has changed. */
export class ConfigFile {
  private seen = '';
  private last: { readonly text: string; readonly tree: Tree } = { text: '', tree: {} };

  constructor(private readonly path: string) {}

  async read(): Promise<{ readonly text: string; readonly tree: Tree }> {
    const info = await lstat(this.path).catch(() => undefined), // a link could lead to anything
      key = info ? `${info.ino} ${info.size} ${info.mtimeMs}` : '';
    if (key !== this.seen) {
      const text = info?.isFile() ? await readFile(this.path, 'utf8').catch(() => '') : '';
      this.last = { text, tree: treeOf(() => parse(text) as unknown) };
      this.seen = key;
    }
    return this.last;
  }
}

export async function readEnvironment(workDir: string): Promise<RunEnvironment | undefined> {
  const found = await readTree(join(workDir, ENVIRONMENT_FILE));
  return typeof found['command'] === 'string' ? (found as unknown as RunEnvironment) : undefined;
}

/** Seconds by phase. */
export async function readPhases(workDir: string): Promise<Record<string, number>> {
  const found = await readTree(join(workDir, PHASES_FILE));
  return Object.fromEntries(
    Object.entries(found).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}

/** A JSON file. */
export async function readTree(path: string): Promise<Tree> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return treeOf(() => JSON.parse(text) as unknown);
}

function treeOf(read: () => unknown): Tree {
  try {
    const value = read();
    return isTree(value) ? value : {};
  } catch {
    return {};
  }
}

/** All hooks of a config. */
export const hooksOf = (config: Tree): Tree[] =>
  ['default_hooks', 'custom_hooks'].flatMap((group) => {
    const hooks = config[group];
    return isTree(hooks) ? Object.values(hooks).filter(isTree) : [];
  });

/** The first hook of a class. */
export const hookOf = (config: Tree, type: string): Tree | undefined =>
  hooksOf(config).find((hook) => hook['type'] === type);
