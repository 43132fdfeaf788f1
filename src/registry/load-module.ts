/** Reads a user's file: TypeScript and JavaScript by importing it, YAML by parsing it. */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseDocument } from 'yaml';
import { UserError } from '../base/errors.js';
import { packageRoot } from '../base/package-path.js';
import { ref } from './ref.js';
import { stackFiles } from './stack.js';

let loaderIsOn = false;
/** A built-in config is compiled, and imports what Node finds itself. */
const isOwn = (file: string): boolean => file.startsWith(join(packageRoot, 'dist', 'configs'));

/**
 * Imports a module; the user's TypeScript goes through ts-node, which only strips types.
 * @returns its default export @throws UserError naming file and line of a syntax error, or the import that is not there
 */
export async function loadModule(file: string): Promise<unknown> {
  if (!isOwn(file) && !loaderIsOn) {
    register('./ts-loader.js', import.meta.url);
    loaderIsOn = true;
  }
  try {
    const module = (await import(pathToFileURL(file).href)) as { default?: unknown };
    return module.default;
  } catch (error) {
    throw await readableImportError(error, file);
  }
}

async function readableImportError(error: unknown, file: string): Promise<unknown> {
  if (error instanceof UserError) return error; // thrown by the file itself
  const {
    name,
    message,
    code,
    stack = '',
  } = error instanceof Error
    ? (error as NodeJS.ErrnoException)
    : { ...new Error(String(error)), name: 'Error', message: String(error) };
  const [first] = message.split('\n');
  // The code is lost when the error crosses from the loader's thread.
  if (code === 'ERR_PACKAGE_PATH_NOT_EXPORTED' || /^Cannot find (module|package) /.test(first))
    return new UserError(`${file}: ${first}; check the import`, { cause: error });
  if (name === 'SyntaxError') {
    const where = /^file:\/\/\S+(?=:\d+\n)/.exec(stack)?.[0];
    if (first.includes('does not provide an export'))
      return new UserError(`${where ? fileURLToPath(where) : file}: ${first}; check the import`, { cause: error });
    return new UserError(
      `${/^\S.*:\d+: /.test(first) ? first : `${file}${await syntaxErrorLine(file)}: ${first}`}; mend the syntax`,
      { cause: error },
    );
  }
  // Only what the file itself does is the user's to mend; our own errors from deeper down keep their stack.
  return stackFiles(stack).includes(file)
    ? new UserError(`${file}: stops with ${name}: ${first}; mend it (--debug shows the line)`, { cause: error })
    : error;
}

/** Node does not tell where in a JavaScript module a syntax error is; TypeScript's parser does. */
async function syntaxErrorLine(file: string): Promise<string> {
  const { default: ts } = await import('typescript');
  const { diagnostics = [] } = ts.transpileModule(await readFile(file, 'utf8'), {
    fileName: file,
    reportDiagnostics: true,
  });
  const at = diagnostics.find((d) => d.file !== undefined && d.start !== undefined);
  return at ? `:${at.file!.getLineAndCharacterOfPosition(at.start!).line + 1}` : '';
}

/** `!ref model.model` is `ref('model.model')`. @throws UserError naming file and line */
export async function loadYaml(file: string): Promise<unknown> {
  const document = parseDocument(await readFile(file, 'utf8'), {
    customTags: [{ tag: '!ref', resolve: (path: string) => ref(path) }],
  });
  const [problem] = document.errors;
  if (problem)
    throw new UserError(
      `${file}:${problem.linePos?.[0].line ?? 1}: ${problem.message.replace(/ at line[^]*$/, '')}; mend the YAML`,
    );
  return document.toJS() as unknown;
}
