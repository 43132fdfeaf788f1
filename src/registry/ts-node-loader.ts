/** Node's module hooks for the user's files: ts-node strips types, nothing is checked. Runs in Node's hooks thread. */
import { create, createEsmHooks, TSError, type NodeLoaderHooksAPI2 } from 'ts-node';
import { isOurs, isUserTypeScript, type TsNodeData } from './user-typescript.js';

let hooks: NodeLoaderHooksAPI2;

export function initialize({ compiler }: TsNodeData): void {
  const service = create({
    compiler,
    transpileOnly: true,
    skipProject: true, // a tsconfig.json of the user is for the editor and tsc; its `module` may not suit Node
    experimentalSpecifierResolution: 'node', // './my_hook' finds my_hook.ts
    compilerOptions: { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', experimentalDecorators: true },
  });
  hooks = createEsmHooks(service) as NodeLoaderHooksAPI2; // what ts-node gives on Node 16.12 and later
}

export const resolve: NodeLoaderHooksAPI2.ResolveHook = (specifier, context, next) =>
  isOurs(specifier)
    ? next(specifier, { ...context, parentURL: import.meta.url }, next)
    : hooks.resolve(specifier, context, next);

/** @throws SyntaxError with message `<path>:<line>: <what>`; only name and message of an error leave this thread */
export const load: NodeLoaderHooksAPI2.LoadHook = async (url, context, next) => {
  try {
    return await hooks.load(url, isUserTypeScript(url) ? { ...context, format: 'module' } : context, next);
  } catch (error) {
    throw error instanceof TSError ? new SyntaxError(firstProblem(error)) : error;
  }
};

function firstProblem({ diagnostics: [first], diagnosticText }: TSError): string {
  if (!first?.file) return diagnosticText;
  const { line } = first.file.getLineAndCharacterOfPosition(first.start ?? 0);
  const text = typeof first.messageText === 'string' ? first.messageText : first.messageText.messageText;
  return `${first.file.fileName}:${line + 1}: ${text}`;
}
