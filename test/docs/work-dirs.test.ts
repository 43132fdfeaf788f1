/** Two runs in one folder warn of each other's checkpoints: no reader of a document comes to that. */
import { basename, extname, join } from 'node:path';
import t from 'tap';
import { DOCUMENTS } from './documents.js';
import { readMarkdown } from './markdown.js';
import { fails } from './run-document.js';

/** The folder of a `train` command, and whether it goes on with what is there. */
function place(command: string): { folder: string; resumes: boolean } {
  const [, config] = /diffengine train (\S+)/.exec(command) as RegExpExecArray;
  const own = join('work_dirs', basename(config, extname(config)));
  return { folder: /--work-dir (\S+)/.exec(command)?.[1] ?? own, resumes: / --resume\b/.test(command) };
}

void t.test('documents: a run has a folder of its own, unless it resumes or is the same again', (t) => {
  const shared: string[] = [];
  let runs = 0;
  for (const path of DOCUMENTS) {
    const seen = new Map<string, string>(),
      { blocks } = readMarkdown(path);
    for (const [i, { language, text }] of blocks.entries()) {
      if (language !== 'sh' || fails(blocks.slice(i + 1))) continue;
      for (const [command] of text.replaceAll(/\\\n\s*/g, '').matchAll(/diffengine train [^<\s][^\n&#]*/g)) {
        const { folder, resumes } = place(command.trim()),
          before = seen.get(folder);
        runs++;
        if (before !== undefined && before !== command.trim() && !resumes) shared.push(`${path}: ${command.trim()}`);
        seen.set(folder, before ?? command.trim());
      }
    }
  }
  t.ok(runs > 40, `${runs} runs`);
  t.strictSame(shared, []);
  t.end();
});
