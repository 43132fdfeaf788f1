/** The report of a run: what stands in its file, how it stays small, and what does not stand in it. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Hook } from '../../src/engine/hook.js';
import { reportHtml } from '../../src/hooks/report/report-html.js';
import { thinPreviews, thinScalars, thinTraining } from '../../src/hooks/report/thin.js';
import { ReportHook } from '../../src/hooks/report-hook.js';
import { VisualizationHook } from '../../src/hooks/visualization-hook.js';
import type { ReportData } from '../../src/runs/report-data.js';
import { reportData } from '../fixtures/hooks/report-data.js';
import { linearRun, Lines } from '../fixtures/engine/linear-run.js';

const pictures = (): Hook =>
  new VisualizationHook(
    {
      prompt: ['dark', 'bright'],
      negative_prompt: '',
      interval: 4,
      by_epoch: false,
      before_train: true,
      height: 16,
      width: 24,
      num_inference_steps: 2,
      guidance_scale: 1,
      guidance_rescale: 0,
      seed: 0,
    },
    new Lines(),
  );

void t.test('ReportHook: one file with curves, pictures, time and config, that asks for nothing else', async (t) => {
  const path = t.testdir(),
    log = new Lines(),
    file = join(path, 'report.html');
  await linearRun(path, { maxIters: 8, hooks: [new ReportHook({ interval: 4 }, log), pictures()] });
  t.strictSame(log.lines, [`report: ${file}`]);
  const { view, scalars, thinned } = reportData(file),
    rows = readFileSync(join(path, 'log.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { loss: number });
  t.match(view, { iterations: 8, maxIters: 8 });
  t.strictSame(
    scalars['loss'],
    { iter: [0, 1, 2, 3, 4, 5, 6, 7], value: rows.map(({ loss }) => loss) },
    'every loss of the log',
  );
  t.match(view.config, 'lr: 0.05');
  t.ok(view.phases['steps'] > 0, 'time so far');
  t.strictSame(
    view.previews.map(({ iter, pictures }) => [iter, pictures.map(({ width, height }) => [width, height])]),
    [-1, 3, 7].map((iter) => [
      iter,
      [
        [24, 16],
        [24, 16],
      ],
    ]),
  );
  t.ok(view.previews.every(({ pictures }) => pictures.every(({ src }) => src.startsWith('data:image/webp;base64,'))));
  t.strictSame(thinned, []);
  const html = readFileSync(file, 'utf8');
  t.notMatch(html.replace(/<script[^]*?<\/script>/g, ''), /(src|href)="(?!data:)/, 'nothing is loaded from elsewhere');
  t.match(html, /<p>8 of 8 iterations, loss \d+\.\d+<\/p>/, 'readable without scripts');
  t.match(html, /## uplot[^]*Permission is hereby granted/, 'the licences of what it is made of travel with it');
  t.ok(statSync(file).size < 200_000, `${statSync(file).size} bytes`);
});

void t.test('a damaged file of the work dir ends no run: the report stays as it was, with a warning', async (t) => {
  const path = t.testdir({ 'evaluation.json': '{"before": [null]}' }),
    log = new Lines();
  await linearRun(path, { maxIters: 2, hooks: [new ReportHook({ interval: -1 }, log)] });
  t.match(log.lines, [/^warning: ReportHook: report\.html stays as it was: Cannot destructure/]);
});

void t.test('the file holds any text, and no path of a home', (t) => {
  const hostile = '</script><script>alert(1)</script><!-- {{data}} $& ';
  const data: ReportData = {
    view: {
      ...{ id: 'run', name: `<b>${hostile}`, state: 'done', iterations: 2, maxIters: 2, started: 0, changed: 0 },
      ...{ loss: 0.5, scores: [], thumbnail: undefined, phases: {}, best: undefined, checkpoints: [] },
      ...{
        trainingPictures: [],
        drawing: undefined,
        config: `model: /home/ada/models/x\nclip: /home/adam/y\n# ${hostile}`,
      },
      evaluations: [
        { iter: -1, scores: [{ name: 'CLIP-I', better: 'higher', value: 0.25, halfWidth: undefined }] },
        { iter: 1, scores: [{ name: 'CLIP-I', better: 'higher', value: 0.5, halfWidth: 0.0625 }] },
      ],
      previews: [
        { iter: -1, pictures: [{ src: 'data:image/webp;base64,AA', caption: `"${hostile}`, width: 1, height: 1 }] },
      ],
      environment: {
        ...{ command: `npx diffengine train /home/ada/dog.yaml`, diffengine: '1', node: 'v20', platform: 'linux x64' },
        ...{ cpu: 'a', cores: 2, memory: 4, backend: 'onnxruntime cpu', started: 0 },
      },
    },
    scalars: {},
    thinned: [],
    written: 0,
  };
  const html = reportHtml('<title>{{title}}</title>{{summary}}<script id="run">{{data}}</script>', data, '/home/ada');
  t.equal(html.match(/<\/?script/g)?.length, 2);
  t.notMatch(html, /ada\b|<!--/);
  const read = JSON.parse(/<script id="run">([^]*?)<\/script>/.exec(html)?.[1] ?? '') as ReportData;
  t.strictSame(read.view.config, `model: ~/models/x\nclip: /home/adam/y\n# ${hostile}`);
  t.equal(read.view.previews[0].pictures[0].caption, `"${hostile}`);
  t.match(html, '<p>Before training: CLIP-I 0.250</p>\n<p>After iteration 1: CLIP-I 0.500 ± 0.063</p>');
  t.match(html, '<pre>npx diffengine train ~/dog.yaml</pre>');
  t.end();
});

void t.test('a long run: curves of means, some of the moments, prompts and training pictures, and it says so', (t) => {
  const iter = Array.from({ length: 5000 }, (_, i) => i),
    long = { loss: { iter, value: iter.map((i) => i % 2) }, lr: { iter: [0], value: [1] } };
  const { kept, said } = thinScalars(long);
  t.equal(kept['loss'].iter.length, 1667);
  t.strictSame(kept['loss'].iter.slice(0, 2), [2, 5]);
  t.equal(kept['loss'].iter.at(-1), 4999);
  t.strictSame(kept['loss'].value.slice(0, 2), [1 / 3, 2 / 3]);
  t.strictSame(kept['lr'], long.lr);
  t.equal(said, 'Each point of a long curve is the mean of 3 values.');
  t.strictSame(thinScalars({ lr: long.lr }), { kept: { lr: long.lr }, said: undefined });

  const picture = { src: '', caption: '', width: 1, height: 1 },
    moments = Array.from({ length: 40 }, (_, i) => ({
      iter: i,
      pictures: new Array(20).fill(picture) as (typeof picture)[],
    }));
  const previews = thinPreviews(moments);
  t.strictSame(
    previews.kept.map(({ iter }) => iter),
    [0, 4, 9, 13, 17, 22, 26, 30, 35, 39],
  );
  t.equal(previews.kept[0].pictures.length, 12);
  t.equal(previews.said, 'It has the pictures of 10 of 40 moments and 12 of 20 prompts.');
  t.strictSame(thinTraining([1, 2]), { kept: [1, 2], said: undefined });
  t.strictSame(thinTraining(iter.slice(0, 15)), {
    kept: [0, 2, 4, 6, 8, 10, 12, 14],
    said: 'It has 8 of 15 training pictures.',
  });
  t.end();
});
