/** The reading of documents and the comparing of what they show: what a drift looks like is found. */
import t from 'tap';
import { Project } from '../fixtures/tools/cli.js';
import { checkCommand, checkUsage } from './check-command.js';
import { difference } from './compare.js';
import { fileName, parseMarkdown } from './markdown.js';
import { commandsOf } from './shell.js';

const shows = (shown: string, printed: string, numbers = true): string | undefined =>
  difference(shown, printed, { numbers });

void t.test('a number that differs is found, wherever the line stands', async (t) => {
  t.equal(
    shows('4 1.4505001306533813\n', 'starts\n4 1.3825129270553589\n9 1.2\n'),
    'shown "4 1.4505001306533813", printed "4 1.3825129270553589": 1.4505001306533813 differs',
  );
  t.equal(shows('4 1.38251\n', 'starts\n4 1.3825129270553589\n'), undefined, 'shorter is the same number');
  t.match(shows('4 1.38251\n', '4 1.3827\n'), /1\.38251 differs/, 'two ten-thousandths off is another number');
  t.equal(shows('CMMD 0.8800', 'CMMD 0.8799'), undefined, 'both are rounded');
  t.match(shows('350 iterations', '351 iterations'), /350 differs/, 'whole numbers are exact');
  t.match(shows('1,314,546 parameters', '1,314,547 parameters'), /1,314,546 differs/);
  t.match(shows('grad_norm 2.0e-3', 'grad_norm 3.0e-3'), /2.0e-3 differs/);
  t.equal(shows('350 iterations, loss 0.1', '351 iterations, loss 0.2', false), undefined, 'unless the note says so');
  t.match(shows('350 iterations', '350 rounds', false), /shown "350 iterations"/, 'words count all the same');
});

void t.test('a number in a name is part of the name', async (t) => {
  t.match(shows('saved step39', 'saved step40'), /shown "saved step39"/);
  t.match(shows('weights c799afcc485a', 'weights c799afcc495a'), /shown/);
  t.match(shows('version 1.30.0', 'version 1.31.0'), /shown/);
  t.equal(shows('saved step39, version 1.30.0', 'saved step1, version 2.0.0', false), undefined);
  t.equal(shows('CLIP-I 0.214 ± 0.110', 'CLIP-I -0.05 ± 1', false), undefined);
});

void t.test('times and speeds may be any; sizes may not', async (t) => {
  t.equal(shows('steps 30.9 s, 11.45 it/s, eta 0:00:00', 'steps 91 s, 3 it/s, eta 0:12:01'), undefined);
  t.equal(shows('4 x 633 ms', '4 x 6.09 s'), undefined);
  t.match(shows('peak 256 MiB', 'peak 257 MiB'), /256 differs/);
});

void t.test('lines are in order and together, but for lines of dots', async (t) => {
  t.equal(shows('a\n...\nd\n', 'a\nb\nc\nd\n'), undefined);
  t.match(shows('a\nd\n', 'a\nb\nc\nd\n'), /shown "d", printed "b"/);
  t.match(shows('d\n...\na\n', 'a\nb\nc\nd\n'), /shown "a", printed ""/);
  t.equal(shows('wrote .../vis/a.png', 'wrote /home/me/vis/a.png'), undefined);
  t.match(shows('wrote (a+b).png', 'wrote aab.png'), /shown/, 'signs of regular expressions are signs');
});

const fence = '```';
void t.test('a block knows its language, its note and its file name', async (t) => {
  const { blocks, anchors, spans } = parseMarkdown(
    [
      '# A `b` & c',
      'Save this as `my.yaml`:',
      '',
      `${fence}yaml`,
      'a: 1',
      fence,
      '- in a list',
      '',
      '  <!-- not run: needs a GPU -->',
      `  ${fence}sh`,
      '  ls',
      `  ${fence}`,
      '',
      `<!-- run with: a=1; it is slow\n${fence}sh\ncp a b\n${fence}\n-->`,
      `${fence}ts\n// src/x.ts\nexport {};\n${fence}`,
    ].join('\n'),
    'x.md',
  );
  t.strictSame(
    blocks.map(({ line, language, text, notes }) => [line, language, text, { ...notes }]),
    [
      [4, 'yaml', 'a: 1\n', {}],
      [10, 'sh', 'ls\n', { 'not run': 'needs a GPU' }],
      [15, 'sh', 'cp a b\n', { 'run with': 'a=1; it is slow' }],
      [19, 'ts', '// src/x.ts\nexport {};\n', {}],
    ],
  );
  t.strictSame(blocks.map(fileName), ['my.yaml', undefined, undefined, 'src/x.ts']);
  t.strictSame([...anchors], ['a-b--c']);
  t.strictSame(spans, [
    { text: 'b', line: 1 },
    { text: 'my.yaml', line: 2 },
  ]);
});

void t.test('a note that is none, or stands before no block, is refused', async (t) => {
  const block = `${fence}sh\nls\n${fence}\n`;
  t.throws(() => parseMarkdown(`<!-- not ran: x -->\n${block}`, 'x.md'), /x\.md:2: <!-- not ran: x -->/);
  t.throws(() => parseMarkdown(`<!-- not run: -->\n${block}`, 'x.md'), /no known note/, 'a reason is needed');
  t.throws(() => parseMarkdown(`<!-- not run: x -->\n\ntext\n\n${block}`, 'x.md'), /a note stands before a block/);
});

void t.test('commands that are not run are checked', async (t) => {
  const project = Project.create(t, {});
  const check = async (script: string): Promise<void> => {
    for (const words of await commandsOf(project, script)) await checkCommand(words, project.path);
  };
  t.strictSame(await commandsOf(project, "export A=b\nnpx x 'a b' \\\n  c && npm ci > out.txt  # why\n"), [
    ['npx', 'x', 'a b', 'c'],
    ['npm', 'ci'],
  ]);
  await check('npx diffengine train small_sd_dreambooth_lora_dog --cfg-options train_cfg.max_iters=3');
  await t.rejects(check('npx diffengine tran x'), /unknown command 'tran'/);
  await t.rejects(check('npx diffengine train'), /missing required argument 'config'/);
  await t.rejects(check('npx diffengine train x --work-dirr a'), /unknown option '--work-dirr'/);
  await t.rejects(check('npx diffengine train small_sd'), /no built-in config of that name/);
  await t.rejects(
    check('npx diffengine train small_sd_dreambooth_lora_dog --cfg-options train_cfg.max_itrs=3'),
    /train_cfg\.max_itrs: unknown option/,
  );
  await t.rejects(check('npm run benhc'), /no script benhc/);
  await t.rejects(check('node dist/test/nowhere.test.js'), /no file dist\/test\/nowhere/);
  t.ok(await checkUsage('npx diffengine train <config> [--resume [checkpoint]]'));
  await t.rejects(checkUsage('npx diffengine train <config> [--resum]'), /train has no option --resum/);
});
