/** Loads every built-in component, so that the registries know them; no list to edit when one is added. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { loadModule } from './registry/load-module.js';

const FOLDERS = ['backends', 'datasets', 'engine', 'hooks', 'models'];

/** Imports each file that registers a component. */
export async function loadComponents(): Promise<void> {
  const root = dirname(fileURLToPath(import.meta.url));
  for (const folder of FOLDERS) {
    for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.name.endsWith('.js') && /\b[A-Z_]+\.register\(/.test(await readFile(path, 'utf8'))) await import(pathToFileURL(path).href);
    }
  }
}

/** Imports the user's files of `custom_imports`; paths are relative to the config. */
export async function loadCustomImports(files: readonly string[], configFile: string): Promise<void> {
  for (const file of files) await loadModule(resolve(dirname(configFile), file));
}
