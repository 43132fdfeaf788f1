/** Loads every built-in component, so that the registries know them; no list to edit when one is added. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { UserError } from './base/errors.js';
import { loadModule } from './registry/load-module.js';
import type { Tree } from './registry/merge.js';

const FOLDERS = ['adapters', 'backends', 'datasets', 'engine', 'evaluation', 'hooks', 'loggers', 'models', 'sampling'];

/** Imports each file that registers a component. */
export async function loadComponents(): Promise<void> {
  const root = dirname(fileURLToPath(import.meta.url));
  for (const folder of FOLDERS) {
    for (const entry of await readdir(join(root, folder), { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.name.endsWith('.js') && /\b[A-Z_]+\.register\(/.test(await readFile(path, 'utf8')))
        await import(pathToFileURL(path).href);
    }
  }
}

/**
 * Imports the user's files of `custom_imports`; paths are relative to the config.
 * @returns their absolute paths @throws UserError for a list that is none, and for what goes wrong in a file
 */
export async function loadCustomImports(config: Tree, configFile: string): Promise<string[]> {
  const listed = config['custom_imports'] ?? [];
  if (!Array.isArray(listed) || listed.some((path) => typeof path !== 'string')) {
    throw new UserError(
      `custom_imports: expected a list of files, got ${JSON.stringify(listed)}; write custom_imports: ['./my_hook.ts']`,
      { code: 'CONFIG_INVALID' },
    );
  }
  const files = (listed as string[]).map((path) => resolve(dirname(configFile), path));
  for (const file of files) await loadModule(file);
  return files;
}
