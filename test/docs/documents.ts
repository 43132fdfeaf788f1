/** The documents of the repository. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileName, readMarkdown } from './markdown.js';

const inFolders = (folder: string): string[] =>
  readdirSync(folder)
    .map((name) => join(folder, name, 'README.md'))
    .filter((path) => existsSync(path));

export const GUIDES: readonly string[] = readdirSync('docs')
  .filter((name) => name.endsWith('.md'))
  .map((name) => join('docs', name));

export const CONFIG_GUIDES: readonly string[] = inFolders('configs');

/** With commands, configs and code that a reader tries. */
export const DOCUMENTS: readonly string[] = ['README.md', 'CONTRIBUTING.md', ...GUIDES, ...CONFIG_GUIDES];

export const ALL_MARKDOWN: readonly string[] = [...DOCUMENTS, 'CHANGELOG.md', ...inFolders('assets')];

/** The TypeScript of a document by the names under which a reader saves it. */
export const codeOf = (path: string): Record<string, string> =>
  Object.fromEntries(
    readMarkdown(path)
      .blocks.filter(({ language }) => language === 'ts')
      .map((block) => [fileName(block) ?? `line ${block.line}`, block.text]),
  );
