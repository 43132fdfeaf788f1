/** Configs that the page may start: built in, or a file in the folder that the command was started in. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { builtInConfigs } from '../../src/registry/load-config.js';
import { isRun } from '../../src/runs/find-runs.js';
import { Problem } from './problem.js';
import type { ConfigName } from './protocol.js';

/** How far below the folder a config may be. */
const DEPTH = 3;
const ENDING = /\.(ts|mts|js|mjs|yaml|yml)$/;
const SKIPPED = new Set(['node_modules', 'dist']);
/** Larger files are no configs. */
const MOST_BYTES = 1 << 18;
const MOST_FILES = 200;

/** @param folder that the command was started in */
export async function configNames(folder: string): Promise<ConfigName[]> {
  const builtIn = [...(await builtInConfigs()).keys()].sort();
  return [
    ...(await configFiles(folder)).map((name) => ({ name, source: 'folder' as const })),
    ...builtIn.map((name) => ({ name, source: 'built-in' as const })),
  ];
}

/** @throws Problem for what is neither built in nor a file inside the folder */
export async function requireConfig(name: string, folder: string): Promise<void> {
  if ((await builtInConfigs()).has(name)) return;
  const refuse = (why: string): Problem => new Problem(400, `config "${name}": ${why}; choose one of the list`);
  if (!ENDING.test(name)) throw refuse('no built-in config of that name');
  const root = await realpath(folder),
    real = await realpath(resolve(folder, name)).catch(() => undefined);
  if (real === undefined) throw refuse('no such file');
  if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) throw refuse(`outside of ${folder}`);
}

/** Paths below the folder, with forward slashes. */
async function configFiles(folder: string): Promise<string[]> {
  const found: string[] = [];
  let next = [folder];
  for (let depth = 0; depth <= DEPTH && next.length > 0; depth++) {
    const below: string[] = [];
    for (const path of next) {
      const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
      if (isRun(entries.map(({ name }) => name))) continue; // its config is resumed, not started
      for (const entry of entries) {
        const file = join(path, entry.name);
        if (entry.isDirectory() && !entry.name.startsWith('.') && !SKIPPED.has(entry.name)) below.push(file);
        if (entry.isFile() && ENDING.test(entry.name) && found.length < MOST_FILES && (await looksLikeConfig(file)))
          found.push(relative(folder, file).split(sep).join('/'));
      }
    }
    next = below;
  }
  return found.sort();
}

async function looksLikeConfig(file: string): Promise<boolean> {
  const info = await stat(file).catch(() => undefined);
  if (!info || info.size > MOST_BYTES) return false;
  const text = await readFile(file, 'utf8').catch(() => '');
  return /\.ya?ml$/.test(file)
    ? /^(_base_|model|train_dataloader):/m.test(text)
    : /export default\b/.test(text) && /_base_|train_dataloader|train_cfg/.test(text);
}
