/** A Markdown document as its tests see it: the blocks of code in order, with the notes on them; headings, links, code in the text. */
import { readFileSync } from 'node:fs';
import GithubSlugger from 'github-slugger';
import MarkdownIt from 'markdown-it';

/**
 * What a comment before a block says of it, CONTRIBUTING.md, "Documents": `<!-- not run: why -->`,
 * `<!-- run with: key=value ...; why -->`, `<!-- not compared: why -->`, `<!-- numbers not compared: why -->`.
 */
interface Notes {
  readonly 'not run'?: string;
  readonly 'run with'?: string;
  readonly 'not compared'?: string;
  readonly 'numbers not compared'?: string;
}

export interface Block {
  /** of the fence, from 1 */
  readonly line: number;
  /** what stands behind the fence: sh, ts, yaml, text; nothing for what commands print */
  readonly language: string;
  readonly text: string;
  readonly notes: Notes;
  /** the last paragraph before it */
  readonly before: string;
}

export interface Markdown {
  readonly path: string;
  readonly source: string;
  readonly blocks: readonly Block[];
  /** of each heading, as GitHub makes them */
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly { readonly target: string; readonly line: number }[];
  /** code in the text, in `backticks` */
  readonly spans: readonly { readonly text: string; readonly line: number }[];
}

const NOTE = /^(not run|run with|not compared|numbers not compared): (\S[^]*)$/;
/** A comment may hold a block that the reader does not see, which gets things ready; its first line may be a note. */
const HIDDEN = /^([^`]*?)\s*(?=```)/;
const markdown = new MarkdownIt({ html: true });

export const readMarkdown = (path: string): Markdown => parseMarkdown(readFileSync(path, 'utf8'), path);

/** @throws for a comment before a block that is no note: it would do nothing */
export function parseMarkdown(source: string, path: string): Markdown {
  const slugger = new GithubSlugger();
  const blocks: Block[] = [],
    anchors = new Set<string>(),
    links: Markdown['links'][number][] = [],
    spans: Markdown['spans'][number][] = [];

  let notes: Record<string, string> = {},
    stray: string | undefined,
    before = '';
  const read = (text: string, start: number): void => {
    const tokens = markdown.parse(text, {});
    tokens.forEach((token, i) => {
      const line = start + (token.map?.[0] ?? 0);
      if (token.type === 'html_block') {
        const comment = /^<!--\s*([^]*?)\s*-->\s*$/.exec(token.content)?.[1] ?? '';
        const hidden = HIDDEN.exec(comment),
          [, name, why] = NOTE.exec(hidden?.[1] ?? comment) ?? [];
        if (name !== undefined) notes[name] = why;
        else if (!hidden || hidden[1] !== '') stray = comment;
        if (hidden) read(below(token.content, comment.slice(hidden[0].length)), line);
      } else if (token.type === 'fence') {
        if (stray !== undefined) throw new Error(`${path}:${line}: <!-- ${stray} --> before a block is no known note`);
        blocks.push({ line, language: token.info.trim(), text: token.content, notes, before });
        notes = {};
      } else if (token.type === 'inline') {
        if (tokens[i - 1].type === 'heading_open') anchors.add(slugger.slug(plain(token.content)));
        before = token.content;
        stray = undefined;
        if (Object.keys(notes).length > 0) throw new Error(`${path}:${line}: a note stands before a block of code`);
        for (const child of token.children ?? []) {
          if (child.type === 'link_open') links.push({ target: String(child.attrGet('href')), line });
          if (child.type === 'image') links.push({ target: String(child.attrGet('src')), line });
          if (child.type === 'code_inline') spans.push({ text: child.content, line });
        }
      }
    });
  };
  read(source, 1);
  return { path, source, blocks, anchors, links, spans };
}

/** The last part of a text, on the lines on which it stands. */
const below = (whole: string, part: string): string =>
  whole.slice(0, whole.lastIndexOf(part)).replace(/[^\n]/g, '') + part + '\n';

/** A heading without its marks. */
const plain = (heading: string): string => heading.replace(/[`*]|\]\([^)]*\)|\[/g, '');

/** The name under which the reader saves a block: its first line is a comment with it, or the text before it says so. */
export function fileName({ text, before }: Block): string | undefined {
  const NAME = /^[\w./-]+\.(?:ts|mts|yaml|yml|csv|jsonl)$/;
  const first = /^(?:\/\/|#) (\S+)\n/.exec(text)?.[1] ?? '';
  if (NAME.test(first)) return first;
  return [...before.matchAll(/`([^`]+)`/g)].map(([, span]) => span).findLast((span) => NAME.test(span));
}
