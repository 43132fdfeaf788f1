/** Finds a config, loads it and its bases, and merges them into one plain object. */
import { access, readdir, readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { basename, dirname, extname, join as joinPath, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseDocument } from 'yaml';
import { UserError } from '../errors.js';
import { applyCfgOptions } from './cfg-options.js';
import { definitionOf } from './define-config.js';
import { isTree, leaves, merge, type Origins, type Tree } from './merge.js';
import { packageRoot } from './package-path.js';
import { isRef, ref, resolveRefs } from './ref.js';
import { suggestion } from './validate.js';

export interface LoadedConfig {
  /** file name without ending; names the work dir */
  readonly name: string;
  readonly file: string;
  /** merged, refs resolved; not validated */
  readonly config: Tree;
  /** leaf path -> the file, or `--cfg-options`, that set it */
  readonly origins: Origins;
}

/**
 * @param nameOrPath a file (.ts, .js, .mjs, .yaml, .yml), or the name of a built-in config
 * @param options `path.to.key=value` each
 * @throws UserError naming the file and the fix
 */
export async function loadConfig(nameOrPath: string, options: readonly string[] = []): Promise<LoadedConfig> {
  const file = await findConfig(nameOrPath);
  const origins: Origins = new Map();
  const merged = await resolveTree(await loadFile(file), file, origins);
  const config = resolveRefs(applyCfgOptions(merged, options, origins));
  return { name: basename(file, extname(file)), file, config, origins };
}

const ENDINGS = ['.ts', '.mts', '.js', '.mjs', '.yaml', '.yml'];

/** Built-in configs by name; bases start with an underscore and are not among them. */
export async function builtInConfigs(): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const folder = joinPath(packageRoot, 'dist', 'configs');
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.name.endsWith('.js') || entry.parentPath.includes('_base_')) continue;
    const name = basename(entry.name, '.js');
    if (found.has(name)) throw new Error(`configs: "${name}" exists twice; the file name is the name on the command line`);
    found.set(name, joinPath(entry.parentPath, entry.name));
  }
  return found;
}

async function findConfig(nameOrPath: string): Promise<string> {
  if (ENDINGS.includes(extname(nameOrPath))) {
    const path = resolve(nameOrPath);
    const exists = await access(path).then(() => true, () => false);
    if (exists) return path;
    const neighbours = (await readdir(dirname(path)).catch(() => [])).filter((n) => ENDINGS.includes(extname(n)));
    throw new UserError(`${nameOrPath}: no such config file${neighbours.length > 0 ? suggestion(basename(path), neighbours) : `; ${dirname(path)} has none`}`);
  }
  const builtIn = await builtInConfigs();
  const found = builtIn.get(nameOrPath);
  if (!found) throw new UserError(`${nameOrPath}: no built-in config of that name${suggestion(nameOrPath, [...builtIn.keys()])}; files need their ending, e.g. ./${nameOrPath}.ts`);
  return found;
}

let loaderIsOn = false;

async function loadFile(file: string): Promise<Tree> {
  const ending = extname(file);
  const content = ending === '.yaml' || ending === '.yml' ? await loadYaml(file) : await loadModule(file);
  if (!isTree(content)) throw new UserError(`${file}: does not give a config object; ${ending.startsWith('.y') ? 'the top level must be a mapping' : 'write export default defineConfig({ ... })'}`);
  return content;
}

/** Imports a module; the user's TypeScript goes through ts-node, which only strips types. */
export async function loadModule(file: string): Promise<unknown> {
  if (/\.m?ts$/.test(file) && !loaderIsOn) {
    process.env['TS_NODE_TRANSPILE_ONLY'] ??= 'true';
    process.env['TS_NODE_COMPILER_OPTIONS'] ??= JSON.stringify({ module: 'esnext', moduleResolution: 'bundler', target: 'es2022', experimentalDecorators: true });
    process.env['TS_NODE_SKIP_PROJECT'] ??= 'true';
    register('ts-node/esm/transpile-only', import.meta.url);
    loaderIsOn = true;
  }
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    throw readableImportError(error, file);
  }
}

function readableImportError(error: unknown, file: string): unknown {
  const problem = error as NodeJS.ErrnoException & { diagnosticText?: string };
  if (problem.diagnosticText !== undefined) return new UserError(`${file}: ${problem.diagnosticText.trim()}; mend the syntax`, { cause: error });
  if (error instanceof SyntaxError) return new UserError(`${/^file:\/\/\S+/.exec(error.stack ?? '')?.[0] ?? file}: ${error.message}; mend the syntax`, { cause: error });
  if (problem.code === 'ERR_MODULE_NOT_FOUND') return new UserError(`${file}: ${problem.message.split('\n')[0]}; check the import`, { cause: error });
  return error;
}

async function loadYaml(file: string): Promise<unknown> {
  const document = parseDocument(await readFile(file, 'utf8'), { customTags: [{ tag: '!ref', resolve: (path: string) => ref(path) }] });
  const [problem] = document.errors;
  if (problem) throw new UserError(`${file}:${problem.linePos?.[0].line ?? 1}: ${problem.message.split('\n')[0]}; mend the YAML`);
  return document.toJS() as unknown;
}

/** Bases first, in their order; then the config itself over them. */
async function resolveTree(own: Tree, file: string, origins: Origins): Promise<Tree> {
  const bases = [own['_base_'] ?? []].flat() as unknown[];
  let merged: Tree = {};
  for (const base of bases) {
    const [tree, baseFile] = await openBase(base, file);
    const baseOrigins: Origins = new Map();
    const resolved = await resolveTree(tree, baseFile, baseOrigins);
    refuseConflicts(merged, origins, resolved, baseOrigins);
    merged = merge(merged, resolved, baseFile, new Map());
    for (const [path, where] of baseOrigins) origins.set(path, where);
  }
  return merge(merged, own, displayName(file), origins);
}

async function openBase(base: unknown, file: string): Promise<[Tree, string]> {
  if (typeof base === 'string') {
    const path = base.startsWith('.') || base.startsWith('/') ? resolve(dirname(file), base) : await findConfig(base);
    return [await loadFile(path), path];
  }
  if (!isTree(base)) throw new UserError(`${file}: _base_ holds ${JSON.stringify(base)}; give imported configs or paths`);
  const url = definitionOf(base);
  return [base, url === undefined ? `${file} (inline base)` : fileURLToPath(url)];
}

/** Two bases may agree on a leaf; they may not disagree, for neither is over the other. */
function refuseConflicts(first: Tree, firstOrigins: Origins, second: Tree, secondOrigins: Origins): void {
  const known = new Map(leaves(first));
  for (const [path, value] of leaves(second)) {
    if (!known.has(path) || JSON.stringify(known.get(path)) === JSON.stringify(value)) continue;
    const show = (v: unknown): string => (isRef(v) ? `ref("${v.$ref}")` : JSON.stringify(v));
    throw new UserError(`${path}: set to ${show(known.get(path))} by ${firstOrigins.get(path) ?? 'one base'} and to ${show(value)} by ${secondOrigins.get(path) ?? 'another'}; set it in the config that inherits from both, or in only one of them`);
  }
}

/** The source of a built-in config, not its compiled form. */
export function displayName(file: string): string {
  const inside = relative(joinPath(packageRoot, 'dist'), file);
  return inside.startsWith('..') ? file : inside.replace(/\.js$/, '.ts');
}
