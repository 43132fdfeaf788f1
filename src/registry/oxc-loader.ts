/** Node's module hooks for the user's files where no TypeScript 5 is: oxc strips types, nothing is checked. Runs in Node's hooks thread. */
import { readFile } from 'node:fs/promises';
import type { LoadHook, ResolveHook } from 'node:module';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'oxc-transform';
import { syntaxError } from './syntax-error.js';
import { isOurs, isUserTypeScript } from './user-typescript.js';

/** What oxc imports into a file with decorators; it lies beside this package, not beside the file. */
const HELPERS = '@oxc-project/runtime/';

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (isOurs(specifier) || specifier.startsWith(HELPERS))
    return next(specifier, { ...context, parentURL: import.meta.url });
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!isFilePath(specifier)) throw error;
    for (const written of sources(specifier)) {
      const found = await Promise.resolve(next(written, context)).catch(() => undefined);
      if (found) return found;
    }
    throw error;
  }
};

const isFilePath = (specifier: string): boolean => /^(\.{0,2}\/|file:)/.test(specifier);

/** './my_hook.js' and './my_hook' are my_hook.ts, as TypeScript has it. */
const sources = (specifier: string): string[] => [
  ...(/\.m?js$/.test(specifier) ? [specifier.replace(/js$/, 'ts')] : []),
  ...['.ts', '.mts', '.js', '.mjs', '/index.ts', '/index.js'].map((ending) => specifier + ending),
];

/** @throws SyntaxError with message `<path>:<line>: <what>`; only name and message of an error leave this thread */
export const load: LoadHook = async (url, context, next) => {
  if (!isUserTypeScript(url)) return next(url, context);
  const file = fileURLToPath(url),
    text = await readFile(file, 'utf8');
  const { code, errors, map } = transformSync(file, text, {
    lang: 'ts',
    sourceType: 'module',
    target: 'es2022',
    decorator: { legacy: true },
    sourcemap: true,
  });
  if (errors.length > 0) throw new SyntaxError(syntaxError(file, text, errors));
  const lines = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`;
  return { format: 'module', source: `${code}\n${lines}`, shortCircuit: true };
};
