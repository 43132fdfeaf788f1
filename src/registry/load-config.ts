/** Finds a config, loads it and its bases, and merges them into one plain object. */
import { access, readdir } from 'node:fs/promises';
import { basename, dirname, extname, join as joinPath, relative, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { UserError } from '../base/errors.js';
import { applyCfgOptions, type CfgOptions } from './cfg-options.js';
import { type ConfigInput, definitionOf } from './define-config.js';
import { PYTHON_CONFIG } from './foreign-names.js';
import { loadModule, loadYaml } from './load-module.js';
import { getPath, isBranch, isPlainObject, isTree, join, merge, type Origins, type Tree } from './merge.js';
import { packageRoot } from '../base/package-path.js';
import { requirePlain } from './plain.js';
import { isRef, refsIn, resolveRefs } from './ref.js';
import { checkSize, takesSize } from './size.js';
import { suggestion } from './validate.js';
import { requireTree } from './yaml.js';

export interface LoadedConfig {
  /** file name without ending; names the work dir */
  readonly name: string;
  readonly file: string;
  /** merged, refs resolved; not validated */
  readonly config: Tree;
  /** of pictures, when values of this config take it with ref('size') */
  readonly size?: number;
  /** leaf path -> the file, or `--cfg-options`, that set it; of a ref, what set its target, and where the ref stands */
  readonly origins: Origins;
}

/**
 * Loads a config with all that it inherits, and merges it. Values are not checked yet: `train` and `plan` do that.
 * @param config a file (.ts, .js, .mjs, .yaml, .yml), the name of a built-in config, or what `defineConfig` gives
 * @param options single values by path, which replace those of the config
 * @throws UserError naming the file and the fix
 */
export async function loadConfig(config: string | ConfigInput, options: CfgOptions = []): Promise<LoadedConfig> {
  if (typeof config !== 'string' && !isTree(config))
    throw new UserError(
      `config: expected a file, a name or what defineConfig gives, got ${JSON.stringify(config) ?? String(config)}`,
      { code: 'CONFIG_INVALID' },
    );
  if (typeof config === 'string') {
    const file = await findConfig(config);
    return resolved(await loadFile(file), file, options);
  }
  requireTree(
    config,
    (what) => new UserError(`config: ${what}; write each value once, where it belongs`, { code: 'CONFIG_INVALID' }),
  );
  return resolved(config, definitionOf(config) ?? resolve(UNNAMED), options);
}

/** Where a config could stand that was written without `defineConfig`. */
const UNNAMED = 'run';

async function resolved(own: Tree, file: string, options: CfgOptions): Promise<LoadedConfig> {
  const origins: Origins = new Map();
  const merged = await resolveTree(own, file, origins);
  const given = applyCfgOptions(merged, options, origins);
  requirePlain(given, origins);
  checkSize(given, [displayName(file), '--cfg-options'].includes(originOf(origins, 'size')));
  const { size, ...config } = resolveRefs(given);
  nameRefs(given, origins);
  return {
    name: basename(file, extname(file)),
    file,
    config,
    ...(takesSize(given) && { size: size as number }),
    origins,
  };
}

const ENDINGS = ['.ts', '.mts', '.js', '.mjs', '.yaml', '.yml'];

/** Built-in configs by name; bases start with an underscore and are not among them. */
export async function builtInConfigs(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const folder = joinPath(packageRoot, 'dist', 'configs');
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.js') || entry.parentPath.includes('_base_')) continue;
    const name = basename(entry.name, '.js');
    if (found.has(name))
      throw new Error(`configs: "${name}" exists twice; the file name is the name on the command line`);
    found.set(name, joinPath(entry.parentPath, entry.name));
  }
  return found;
}

async function findConfig(nameOrPath: string): Promise<string> {
  if (extname(nameOrPath) === '.py') throw new UserError(`${nameOrPath}: ${PYTHON_CONFIG}`, { code: 'CONFIG_INVALID' });
  if (ENDINGS.includes(extname(nameOrPath))) {
    const path = resolve(nameOrPath);
    if (await exists(path)) return path;
    throw new UserError(`${nameOrPath}: no such config file${await nearestFile(path)}`, { code: 'CONFIG_NOT_FOUND' });
  }
  const builtIn = await builtInConfigs();
  const found = builtIn.get(nameOrPath);
  if (found !== undefined) return found;
  for (const ending of ENDINGS)
    if (await exists(nameOrPath + ending))
      throw new UserError(
        `${nameOrPath}: no built-in config of that name; did you mean the file ${nameOrPath}${ending}?`,
        { code: 'CONFIG_NOT_FOUND' },
      );
  throw new UserError(`${nameOrPath}: no built-in config of that name${suggestion(nameOrPath, [...builtIn.keys()])}`, {
    code: 'CONFIG_NOT_FOUND',
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

async function nearestFile(path: string): Promise<string> {
  const name = basename(path, extname(path));
  if ((await builtInConfigs()).has(name))
    return `; did you mean the built-in config, "${name}" without folder and ending?`;
  const neighbours = (await readdir(dirname(path)).catch(() => [])).filter((n) => ENDINGS.includes(extname(n)));
  return neighbours.length > 0 ? suggestion(basename(path), neighbours) : `; no config is in ${dirname(path)}`;
}

async function loadFile(file: string): Promise<Tree> {
  const isYaml = /\.ya?ml$/.test(file);
  const content = isYaml ? await loadYaml(file) : await loadModule(file);
  if (!isTree(content) || !isPlainObject(content))
    throw new UserError(
      `${file}: does not give a config object; ${isYaml ? 'the top level must be a mapping' : 'write export default defineConfig({ ... })'}`,
      { code: 'CONFIG_INVALID' },
    );
  try {
    requireTree(
      content,
      (what) => new UserError(`${file}: ${what}; write each value once, where it belongs`, { code: 'CONFIG_INVALID' }),
    );
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file}: a value of it cannot be read: ${(error as Error).message}; write plain values`, {
      cause: error,
      code: 'CONFIG_INVALID',
    });
  }
  return content;
}

/** Bases first, in their order; then the config itself over them. `chain` holds the files that led here. */
async function resolveTree(
  own: Tree,
  file: string,
  origins: Origins,
  chain: readonly string[] = [file],
): Promise<Tree> {
  let merged: Tree = {};
  for (const base of [own['_base_'] ?? []].flat(Infinity)) {
    const [tree, baseFile] = await openBase(base, file, chain);
    const baseOrigins: Origins = new Map();
    const resolved = stillOpen(await resolveTree(tree, baseFile, baseOrigins, [...chain, baseFile]), own);
    refuseConflict(merged, origins, resolved, baseOrigins);
    merged = merge(merged, resolved);
    for (const [path, where] of baseOrigins) origins.set(path, where);
  }
  return merge(merged, withAbsoluteImports(own, file), displayName(file), origins);
}

async function openBase(base: unknown, file: string, chain: readonly string[]): Promise<[Tree, string]> {
  if (typeof base === 'string') {
    const path = ENDINGS.includes(extname(base)) ? resolve(dirname(file), base) : await findBuiltInBase(base);
    if (chain.includes(path))
      throw new UserError(
        `${displayName(file)}: _base_ goes in a circle: ${[...chain, path].map(displayName).join(' -> ')}`,
        { code: 'CONFIG_INVALID' },
      );
    if (!(await exists(path)))
      throw new UserError(`${displayName(file)}: _base_ "${base}": no such config file${await nearestFile(path)}`, {
        code: 'CONFIG_NOT_FOUND',
      });
    return [await loadFile(path), path];
  }
  if (!isTree(base))
    throw new UserError(
      `${displayName(file)}: _base_ holds ${JSON.stringify(base) ?? String(base)}; give imported configs or paths`,
      { code: 'CONFIG_INVALID' },
    );
  return [base, definitionOf(base) ?? `${file} (inline base)`];
}

const BUILT_IN = 'diffengine/configs/';

/** `diffengine/configs/_base_/models/small_sd_lora` as in an import, or the name of a built-in config. */
async function findBuiltInBase(base: string): Promise<string> {
  return base.startsWith(BUILT_IN)
    ? joinPath(packageRoot, 'dist', 'configs', `${base.slice(BUILT_IN.length)}.js`)
    : findConfig(base);
}

/** What of a base the inheriting config does not replace anyway. A `type` stays, so that a change of it is noticed. */
function stillOpen(base: Tree, own: Tree): Tree {
  return Object.fromEntries(
    Object.entries(base).flatMap(([key, value]) => {
      const decided = own[key];
      if (decided === undefined || key === 'type') return [[key, value]];
      return isBranch(decided) && decided['_delete_'] !== true && isBranch(value)
        ? [[key, stillOpen(value, decided)]]
        : [];
    }),
  );
}

/** Two bases may agree on a value; they may not disagree unless the config that inherits decides: neither is over the other. */
function refuseConflict(first: Tree, firstOrigins: Origins, second: Tree, secondOrigins: Origins): void {
  for (const [path, before, after] of differences(first, second)) {
    throw new UserError(
      `${path}: set to ${show(before)} by ${originOf(firstOrigins, path)} and to ${show(after)} by ${originOf(secondOrigins, path)}; set it in the config that inherits from both, or in only one of them`,
      { code: 'CONFIG_INVALID' },
    );
  }
}

function* differences(first: Tree, second: Tree, path = ''): Generator<[string, unknown, unknown]> {
  for (const [key, after] of Object.entries(second)) {
    if (!(key in first)) continue;
    const before = first[key],
      at = join(path, key);
    if (isBranch(before) && isBranch(after)) yield* differences(before, after, at);
    else if (!isDeepStrictEqual(before, after)) yield [at, before, after];
  }
}

const show = (value: unknown): string => (isRef(value) ? `ref("${value.$ref}")` : JSON.stringify(value));

/** A value that came by a ref was set where its target was; a list that has refs in it, where it stands. */
function nameRefs(config: Tree, origins: Origins): void {
  const given = new Map(origins);
  for (const [path, targets] of refsIn(config)) {
    const where = originOf(given, path),
      isList = Array.isArray(getPath(config, path));
    const parts = [...targets].map((target) =>
      isList
        ? `ref('${target}') of ${originOf(given, target)}`
        : `${originOf(given, target)}, by ref('${target}') in ${where}`,
    );
    origins.set(path, isList ? `${where}, with ${parts.join(', ')}` : parts[0]);
  }
}

/** Where a value, or the first value below it, was set. */
function originOf(origins: Origins, path: string): string {
  for (const [known, where] of origins) if (known === path || known.startsWith(`${path}.`)) return where;
  return 'a base';
}

/** `custom_imports` are relative to the file that lists them, wherever it is inherited or written to. */
function withAbsoluteImports(own: Tree, file: string): Tree {
  const imports = own['custom_imports'];
  if (!Array.isArray(imports)) return own;
  return {
    ...own,
    custom_imports: imports.map((path: unknown) => (typeof path === 'string' ? resolve(dirname(file), path) : path)),
  };
}

/** How a file is called in messages: the source of a built-in config, not its compiled form; below the current folder, from there. */
export function displayName(file: string): string {
  const inside = relative(packageRoot, file).replace(/^dist[/\\]/, '');
  if (/^configs[/\\]/.test(inside)) return inside.replace(/\.js$/, '.ts');
  const near = relative('.', file);
  return near.startsWith('..') ? file : near;
}
