/** Node's module hooks for the user's files: ts-node strips types, nothing is checked. Runs in Node's hooks thread. */
import { create, createEsmHooks, TSError, type NodeLoaderHooksAPI2 } from 'ts-node';

const hooks = createEsmHooks(
  create({
    transpileOnly: true,
    skipProject: true, // a tsconfig.json of the user is for the editor and tsc; its `module` may not suit Node
    experimentalSpecifierResolution: 'node', // './my_hook' finds my_hook.ts
    compilerOptions: { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', experimentalDecorators: true },
  }),
) as NodeLoaderHooksAPI2; // what ts-node gives on Node 16.12 and later

/** 'diffengine' is the package that runs, not a second copy beside the user's files: components must register where it looks. */
export const resolve: NodeLoaderHooksAPI2.ResolveHook = (specifier, context, next) =>
  /^diffengine($|\/)/.test(specifier)
    ? next(specifier, { ...context, parentURL: import.meta.url }, next)
    : hooks.resolve(specifier, context, next);

/**
 * A .ts file is an ES module here, whatever the nearest package.json says: `npm install` in an empty folder makes one without "type".
 * @throws SyntaxError with message `<path>:<line>: <what>`; only name and message of an error leave this thread
 */
export const load: NodeLoaderHooksAPI2.LoadHook = async (url, context, next) => {
  try {
    return await hooks.load(url, isUserTypeScript(url) ? { ...context, format: 'module' } : context, next);
  } catch (error) {
    throw error instanceof TSError ? new SyntaxError(firstProblem(error)) : error;
  }
};

const isUserTypeScript = (url: string): boolean =>
  url.startsWith('file:') && /\.m?ts$/.test(new URL(url).pathname) && !url.includes('/node_modules/');

function firstProblem({ diagnostics: [first], diagnosticText }: TSError): string {
  if (!first?.file) return diagnosticText;
  const { line } = first.file.getLineAndCharacterOfPosition(first.start ?? 0);
  const text = typeof first.messageText === 'string' ? first.messageText : first.messageText.messageText;
  return `${first.file.fileName}:${line + 1}: ${text}`;
}
