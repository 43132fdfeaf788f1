/** YAML as data: what a text holds, or one line on why it holds nothing that can be used. */
import { parseDocument, visit, type Document } from 'yaml';
import { UserError } from '../base/errors.js';
import { ref } from './ref.js';

/** The deepest config that ships is 6 levels deep. */
const MAX_DEPTH = 64;
/** A few names for lists of lists of lists make billions of values out of a page of text. */
const MAX_VALUES = 1_000_000;

export interface ParsedYaml {
  readonly value: unknown;
  /** text that YAML leaves out */
  readonly hasComment: boolean;
}

/**
 * `!ref model.model` is `ref('model.model')`.
 * @param place what names the text in errors, given the line where that is known
 * @param advice what to do about a mistake
 */
export function parseYaml(text: string, place: (line?: number) => string, advice: string): ParsedYaml {
  const broken = (what: string, line?: number, cause?: unknown): UserError =>
    new UserError(`${place(line)}: ${what}; ${advice}`, { cause, code: 'CONFIG_INVALID' });
  let document: Document;
  let value: unknown;
  try {
    document = parseDocument(text, {
      customTags: [{ tag: '!ref', resolve: (path: string) => ref(path) }],
      logLevel: 'error',
    });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw broken(oneLine(problem.message), problem.linePos?.[0].line);
    value = document.toJS();
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw broken(oneLine((error as Error).message), undefined, error);
  }
  requireTree(value, (what) => broken(what));
  return { value, hasComment: hasComment(document) };
}

/** The parser's own ends, in words; of the rest, the first line. */
function oneLine(message: string): string {
  if (message.includes('call stack')) return `nested more than ${MAX_DEPTH} deep`;
  if (message.includes('Excessive alias count')) return 'its aliases (*name) stand for far more than is written';
  return message.replace(/ at line[^]*$/, '').split('\n', 1)[0];
}

function hasComment(document: Document): boolean {
  let found = Boolean(document.comment ?? document.commentBefore);
  visit(document, {
    Node: (_, node) => {
      found ||= Boolean(node.comment ?? node.commentBefore);
    },
  });
  return found;
}

/** @throws what `broken` makes for a value that holds itself, is nested too deep, or has too many values */
export function requireTree(value: unknown, broken: (what: string) => Error): void {
  const above = new Set<object>();
  let values = 0;
  const walk = (node: unknown, path: string, depth: number): void => {
    if (++values > MAX_VALUES)
      throw broken(`more than ${MAX_VALUES.toLocaleString('en-US')} values, counted as often as they are named`);
    if (typeof node !== 'object' || node === null) return;
    const at = path === '' ? 'the top level' : path;
    if (above.has(node)) throw broken(`${at} holds itself`);
    if (depth > MAX_DEPTH) throw broken(`${at.slice(0, 60)}... is nested more than ${MAX_DEPTH} deep`);
    above.add(node);
    for (const [key, inner] of Object.entries(node)) walk(inner, path === '' ? key : `${path}.${key}`, depth + 1);
    above.delete(node);
  };
  walk(value, '', 0);
}
