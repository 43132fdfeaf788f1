/** What documents point to is there. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { ALL_MARKDOWN } from './documents.js';
import { readMarkdown } from './markdown.js';

const documents = new Map(ALL_MARKDOWN.map((path) => [path, readMarkdown(path)]));

for (const [path, { anchors, links }] of documents)
  void t.test(`${path}: files and headings that it links to exist`, async (t) => {
    for (const { target, line } of links) {
      if (/^\w+:/.test(target)) continue; // the web
      const [file, anchor] = target.split('#');
      const to = file === '' ? path : join(dirname(path), decodeURI(file));
      t.ok(existsSync(to), `${path}:${line}: ${target}`);
      if (anchor === undefined) continue;
      const known = file === '' ? anchors : (documents.get(to) ?? readMarkdown(to)).anchors;
      t.ok(known.has(anchor), `${path}:${line}: ${target}: the headings are ${[...known].join(', ')}`);
    }
  });

const IN_REPOSITORY = /^(?:src|tools|test|configs|docs|assets|bench|scripts)\/[\w./*-]*$/;

for (const [path, { spans }] of documents)
  if (path !== 'CHANGELOG.md')
    void t.test(`${path}: files of the repository that it names exist`, async (t) => {
      for (const { text, line } of spans)
        if (IN_REPOSITORY.test(text) && !text.includes('...')) t.ok(exists(text), `${path}:${line}: ${text}`);
    });

/** @param path maybe with stars in its last part */
function exists(path: string): boolean {
  if (!path.includes('*')) return existsSync(path);
  const pattern = new RegExp(`^${path.split('/').at(-1)?.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  return existsSync(dirname(path)) && readdirSync(dirname(path)).some((name) => pattern.test(name));
}
