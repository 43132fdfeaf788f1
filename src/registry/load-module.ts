/** Reads a user's file: TypeScript and JavaScript by importing it, YAML by parsing it. */
import { readFile } from 'node:fs/promises';
import { createRequire, register } from 'node:module';
import { extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { UserError } from '../base/errors.js';
import { decodeText } from '../base/text-file.js';
import { packageRoot } from '../base/package-path.js';
import { stackFiles } from './stack.js';
import { lineOf } from './syntax-error.js';
import type { TsNodeData } from './user-typescript.js';
import { parseYaml } from './yaml.js';

let loaderIsOn = false;
/** A built-in config is compiled, and imports what Node finds itself. */
const isOwn = (file: string): boolean => file.startsWith(join(packageRoot, 'dist', 'configs'));

/** The last TypeScript that ts-node can drive: from 7 on its compiler is no JavaScript. */
const TS_NODE_MAJOR = 5;

/**
 * ts-node loads the user's TypeScript where TypeScript 5 is installed, beside the user's file or beside this package; oxc
 * does elsewhere. Both strip types only, and know decorators and parameter properties, which Node's own stripping does not.
 */
function turnLoaderOn(file: string): void {
  if (loaderIsOn) return;
  loaderIsOn = true;
  process.setSourceMapsEnabled(true); // lines in stacks are those of the user's file
  const compiler = [file, import.meta.url].map(typescriptFor).find((found) => found !== undefined);
  if (compiler?.major !== TS_NODE_MAJOR) return register('./oxc-loader.js', import.meta.url);
  register<TsNodeData>('./ts-node-loader.js', import.meta.url, { data: { compiler: compiler.path } });
}

/** The TypeScript that a file or module would import. */
function typescriptFor(from: string): { path: string; major: number } | undefined {
  const require = createRequire(from);
  try {
    const { version } = require('typescript/package.json') as { version: string };
    return { path: require.resolve('typescript'), major: parseInt(version, 10) };
  } catch {
    return undefined;
  }
}

/**
 * Imports a module; of the user's TypeScript only the types are stripped.
 * @returns its default export @throws UserError naming file and line of a syntax error, or the import that is not there
 */
export async function loadModule(file: string): Promise<unknown> {
  if (!isOwn(file)) turnLoaderOn(file);
  try {
    const module = await settled(file, import(pathToFileURL(file).href) as Promise<{ default?: unknown }>);
    return module.default;
  } catch (error) {
    throw await readableImportError(error, file);
  }
}

/** Longer than any machine needs to compile a config. */
const PATIENCE_MS = 60_000;

/**
 * A module may wait for what never comes, or end the process. @throws UserError then, where Node would end without a word
 */
async function settled<T>(file: string, work: Promise<T>): Promise<T> {
  const { exit } = process;
  let refuse: (error: UserError) => void = () => undefined;
  const ended = new Promise<never>((_, reject) => (refuse = reject));
  const stuck = (): void =>
    refuse(
      new UserError(`${file}: never finishes: it awaits something that does not come; mend its top-level await`, {
        code: 'CONFIG_INVALID',
      }),
    );
  const timer = setTimeout(stuck, PATIENCE_MS).unref();
  process.once('beforeExit', stuck); // nothing is left that could wake it
  process.exit = (code) => {
    if (!stackFiles(new Error().stack ?? '').includes(file)) return exit(code);
    refuse(
      new UserError(`${file}: calls process.exit(${code ?? ''}); a config only says what to do, leave it out`, {
        code: 'CONFIG_INVALID',
      }),
    );
    return undefined as never; // what the file does then does not count any more
  };
  try {
    return await Promise.race([work, ended]);
  } finally {
    clearTimeout(timer);
    process.off('beforeExit', stuck);
    process.exit = exit;
  }
}

async function readableImportError(error: unknown, file: string): Promise<unknown> {
  if (error instanceof UserError) return error; // thrown by the file itself
  if (!(error instanceof Error))
    return new UserError(`${file}: throws ${String(error).split('\n', 1)[0]}; mend it`, {
      cause: error,
      code: 'CONFIG_INVALID',
    });
  const { name, message, code, stack = '' } = error as NodeJS.ErrnoException;
  const [first] = message.split('\n');
  // The code is lost when the error crosses from the loader's thread.
  if (code === 'ERR_PACKAGE_PATH_NOT_EXPORTED' || /^Cannot find (module|package) /.test(first))
    return new UserError(`${file}: ${first}; check the import`, { cause: error, code: 'CONFIG_INVALID' });
  if (name === 'SyntaxError') {
    const where = /^file:\/\/\S+(?=:\d+\n)/.exec(stack)?.[0];
    if (first.includes('does not provide an export'))
      return new UserError(`${where ? fileURLToPath(where) : file}: ${first}; check the import`, {
        cause: error,
        code: 'CONFIG_INVALID',
      });
    const line = await syntaxErrorLine(file);
    if (line === '' && /outside a module|^Unexpected token 'export'/.test(first))
      return new UserError(
        `${file}: is read as CommonJS (${first}); add "type": "module" to the package.json of its folder, or name it .mjs or .ts`,
        { cause: error, code: 'CONFIG_INVALID' },
      );
    return new UserError(`${/^\S.*:\d+: /.test(first) ? first : `${file}${line}: ${first}`}; mend the syntax`, {
      cause: error,
      code: 'CONFIG_INVALID',
    });
  }
  // Only what the file itself does is the user's to mend; our own errors from deeper down keep their stack.
  return stackFiles(stack).includes(file)
    ? new UserError(`${file}: stops with ${name}: ${first}; mend it (--debug shows the line)`, {
        cause: error,
        code: 'CONFIG_INVALID',
      })
    : error;
}

/** Node does not tell where in a JavaScript module a syntax error is; oxc's parser does. */
async function syntaxErrorLine(file: string): Promise<string> {
  const { transformSync } = await import('oxc-transform');
  const text = await readFile(file, 'utf8');
  return lineOf(text, transformSync(file, text, { lang: extname(file).endsWith('ts') ? 'ts' : 'js' }).errors[0]);
}

/** @throws UserError naming file and line */
export async function loadYaml(file: string): Promise<unknown> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file}: cannot be read (${error.code}); is it a file?`, { cause: error });
  });
  return parseYaml(decodeText(bytes, file), (line) => (line === undefined ? file : `${file}:${line}`), 'mend the YAML')
    .value;
}
