/**
 * Runs a document: what a reader saves and types, in its order, in a new folder where diffengine is installed; what it
 * prints is what the document shows. CONTRIBUTING.md, "Documents", has the rules.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Test } from 'tap';
import { parse } from 'yaml';
import type { Tree } from '../../src/registry/merge.js';
import { Project } from '../fixtures/tools/cli.js';
import { checkCommand, checkConfig, checkPiece, checkUsage } from './check-command.js';
import { difference } from './compare.js';
import { fileName, readMarkdown, type Block } from './markdown.js';
import { commandsOf, runShell } from './shell.js';

/** All as it stands, the minutes too: DIFFENGINE_DOCS=long node dist/test/docs/readme.test.js */
const LONG = process.env['DIFFENGINE_DOCS'] === 'long';
export const TIMEOUT = LONG ? 3_600_000 : 300_000;

/** Files of diffengine itself, which the reader of CONTRIBUTING.md adds: not saved in a project. */
const ofThePackage = (name: string): boolean => /^(src|tools)\//.test(name);

/** @param path a Markdown file of the repository */
export async function runDocument(t: Test, path: string): Promise<void> {
  const project = Project.create(t, { 'package.json': '{ "name": "mine" }' }); // as `npm init -y` makes it, but for its length
  project.installPackage();
  const { blocks } = readMarkdown(path);
  const printed = new Printed();
  for (const [i, block] of blocks.entries()) {
    const at = `${path}:${block.line}`,
      [first] = block.text.split('\n');
    switch (block.language) {
      case 'ts':
      case 'yaml':
      case 'csv':
        await t.test(`${at}: ${first}`, (t) => file(t, project, block));
        break;
      case 'sh':
        await t.test(`${at}: ${first}`, (t) => commands(t, project, block, printed, fails(blocks.slice(i + 1))));
        break;
      case '':
        if (first.startsWith('$ ')) await t.test(`${at}: ${first}`, (t) => session(t, project, block, printed));
        else await t.test(`${at}: shows "${first}"`, async (t) => shows(t, block, block.text, printed));
        break;
      case 'text':
        break;
      default:
        if (block.notes['not run'] === undefined)
          t.fail(`${at}: ${block.language} has no test; say <!-- not run: why -->`);
    }
  }
}

/** What was printed last, and whether the commands have a note "run with". */
class Printed {
  text: string | undefined;
  extra = false;
}

/** Do the outputs after a block end in an error of ours? */
export const fails = (after: readonly Block[]): boolean => {
  const next = after.findIndex(({ language, text }) => language === 'sh' || text.startsWith('$ '));
  return after
    .slice(0, next < 0 ? undefined : next)
    .some(({ language, text, notes }) => language === '' && /^diffengine: /m.test(text) && !notes['not compared']);
};

async function file(t: Test, project: Project, block: Block): Promise<void> {
  const name = fileName(block);
  if (name !== undefined && !ofThePackage(name)) {
    mkdirSync(dirname(project.file(name)), { recursive: true });
    writeFileSync(project.file(name), block.text);
  }
  if (block.language === 'yaml') {
    const tree = parse(block.text, { customTags: [{ tag: '!ref', resolve: (path: string) => path }] }) as Tree;
    const isWhole = ['_base_', 'model'].some((key) => tree[key] !== undefined);
    if (name === undefined || !isWhole) await checkPiece(tree);
    else await checkConfig(name, project.path);
  } else if (name === undefined) t.fail('no name: begin the block with a comment, or name the file in the text before it');
  else if (/defineConfig\(/.test(block.text)) await checkConfig(name, project.path);
  t.pass('nothing threw');
}

async function commands(t: Test, project: Project, block: Block, printed: Printed, failing: boolean): Promise<void> {
  const { notes, text } = block;
  const [extra] = (notes['run with'] ?? '').split(';');
  if (notes['run with'] !== undefined && !/^[^;]+;\s*\S/.test(notes['run with']))
    t.fail('a note "run with" says key=value, a semicolon, and why');
  printed.text = undefined;
  if (notes['not run'] !== undefined) {
    if (!(await checkUsage(text)))
      for (const words of await commandsOf(project, text))
        await t.resolves(checkCommand(words, project.path), words.join(' '));
    return void t.pass(`not run: ${notes['not run']}`);
  }
  const finished = await runShell(project, text, LONG ? '' : extra);
  if ((finished.code === 0) === failing) t.fail(`${finished.printed}\nended with ${finished.code}`);
  else t.pass(failing ? 'it fails' : 'it succeeds');
  printed.text = finished.printed;
  printed.extra = extra !== '';
}

/** Lines with a dollar are commands, the others what they print. */
async function session(t: Test, project: Project, block: Block, printed: Printed): Promise<void> {
  for (const part of block.text.split(/^(?=\$ )/m)) {
    const [command] = part.split('\n'),
      shown = part.slice(command.length + 1);
    await commands(t, project, { ...block, text: command.slice(2) }, printed, /^diffengine: /m.test(shown));
    if (block.notes['not run'] === undefined) shows(t, block, shown, printed);
  }
}

function shows(t: Test, { notes }: Block, shown: string, { text, extra }: Printed): void {
  if (notes['not compared'] !== undefined) return void t.pass(`not compared: ${notes['not compared']}`);
  if (text === undefined) return void t.fail('shown after commands that are not run: say <!-- not compared: why -->');
  const numbers = notes['numbers not compared'] === undefined || (LONG && extra);
  const problem = difference(shown, text, { numbers });
  if (problem === undefined) t.pass('printed as shown');
  else t.fail(problem);
}
