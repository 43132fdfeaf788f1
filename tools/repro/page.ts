/** docs/results.md and its pictures, from what the stages left. */
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import type { Evaluation } from '../../src/evaluation/evaluation-run.js';
import { KINDS_TITLE, kindsSection } from './kinds.js';
import { valueOf, withInterval, type Marker, type Result } from './result.js';
import { evaluationOf, EXPERIMENTS, markerOf, type Stage } from './stages.js';
import { DISTILLATION_TITLE, INTRODUCTION, LORA_TITLE, PAIRS_TITLE, RECOVERY_TITLE, verdicts } from './text.js';

const PAGE = 'docs/results.md',
  PICTURES = 'docs/results';

/** Replaces the section about kinds of adapter alone, when its runs are done; the rest of the page stays. */
export async function writeKindsSection(): Promise<void> {
  const section = await kindsSection();
  if (section === undefined) return console.log(`${PAGE}: left as it is, not all runs of kinds of adapter are done`);
  const text = await readFile(PAGE, 'utf8');
  const heading = `## ${KINDS_TITLE}`;
  const start = text.indexOf(heading);
  const place = start >= 0 ? start : text.search(/^## (?:Number of distillation pairs|Not run yet|The runs)/m);
  const end = start >= 0 ? text.indexOf('\n## ', start) + 1 : place;
  await writeFileAtomic(PAGE, `${text.slice(0, place)}${heading}\n\n${section}\n\n${text.slice(end)}`);
  console.log(`${PAGE}: ${KINDS_TITLE}`);
}

export async function writePage(): Promise<void> {
  const results: Result[] = [];
  for (const stage of EXPERIMENTS) {
    const folder = evaluationOf(stage);
    if (folder === undefined || !existsSync(markerOf(stage))) continue;
    const json = async <T>(file: string): Promise<T> => JSON.parse(await readFile(file, 'utf8')) as T;
    results.push({
      stage,
      marker: await json<Marker>(markerOf(stage)),
      evaluation: await json<Evaluation>(join(folder, 'eval.json')),
    });
    await mkdir(PICTURES, { recursive: true });
    if (stage.table !== 'latency' && stage.table !== 'kinds')
      await sharp(join(folder, 'seed0.png'))
        .png({ palette: true, effort: 10 })
        .toFile(join(PICTURES, `${stage.id}.png`)); // a quarter of the bytes, for drawings no worse
  }
  await writeFileAtomic(PAGE, page(results, await kindsSection()));
  console.log(`${PAGE}: ${results.length} of ${EXPERIMENTS.length} experiments`);
}

const percent = (result: Result, name: string): string => {
  const score = valueOf(result, name);
  return score ? `${(100 * score.value).toFixed(1)} %` : '';
};
/** Of runs that train. */
const minutes = ({ stage, marker }: Result): string =>
  stage.commands.some(([command]) => command === 'train') ? `${(marker.seconds / 60).toFixed(1)} min` : '';
const millions = (n: number): string => `${(n / 1e6).toFixed(2)} M`;

type Column = readonly [heading: string, cell: (result: Result) => string];
const QUALITY: readonly Column[] = [
  ['FD ↓', (r) => withInterval(r, 'FD')],
  ['CMMD ↓', (r) => withInterval(r, 'CMMD')],
  ['CLIP-T ↑', (r) => withInterval(r, 'CLIP-T')],
  ['subject', (r) => percent(r, 'subject accuracy')],
  ['colour', (r) => percent(r, 'colour accuracy')],
  ['setting', (r) => percent(r, 'setting accuracy')],
];
const SIZE: readonly Column[] = [
  ['U-Net parameters', (r) => (r.evaluation.cost ? millions(r.evaluation.cost.parameters.unet) : '')],
  ['MACs per step', (r) => (r.evaluation.cost ? `${(r.evaluation.cost.macs / 1e6).toFixed(1)} M` : '')],
];
const LATENCY: readonly Column[] = [
  [
    'guided step of one picture',
    (r) => (r.evaluation.latency ? `${r.evaluation.latency.median_ms.toFixed(1)} ms` : ''),
  ],
  ['steps measured', (r) => String(r.evaluation.latency?.runs ?? '')],
];
const LIKENESS: readonly Column[] = [
  ['CLIP-I ↑', (r) => withInterval(r, 'CLIP-I')],
  ['CLIP-T ↑', (r) => withInterval(r, 'CLIP-T')],
  ['time', minutes],
];

function table(first: string, results: readonly Result[], columns: readonly Column[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const head = [first, ...columns.map(([heading]) => heading)];
  return [
    line(head),
    line(head.map(() => '---')),
    ...results.map((r) => line([r.stage.title, ...columns.map(([, cell]) => cell(r))])),
  ].join('\n');
}

function page(results: readonly Result[], kinds: string | undefined): string {
  const of = (...tables: Stage['table'][]): Result[] => results.filter(({ stage }) => tables.includes(stage.table));
  const kd = results
    .filter(({ stage }) => stage.id === 'kd')
    .map((r) => ({ ...r, stage: { ...r.stage, title: '12,000' } }));
  const base = results
    .filter(({ stage }) => stage.id === 'dreambooth_small-sd_dog')
    .map((r) => ({ ...r, stage: { ...r.stage, title: 'r = 8' } }));
  const sections: readonly (readonly [string, readonly Result[], string])[] = [
    ['Teacher and students', of('sizes'), table('model', of('sizes'), [...SIZE, ...QUALITY])],
    ['Time of a step', of('latency'), table('model', of('latency'), LATENCY)],
    [RECOVERY_TITLE, of('recovery'), table('training', of('recovery'), QUALITY)],
    [DISTILLATION_TITLE, of('distillation'), table('training', of('distillation'), QUALITY)],
    [PAIRS_TITLE, of('pairs'), table('pairs', [...of('pairs'), ...kd], QUALITY)],
    ['DreamBooth with LoRA', of('dreambooth'), table('model, subject', of('dreambooth'), LIKENESS)],
    [LORA_TITLE, of('lora'), table('training', [...base, ...of('lora')], LIKENESS)],
  ];
  const shown = sections
    .filter(([, rows]) => rows.length > 0)
    .map(([title, rows, text]) =>
      [
        `## ${title}`,
        text,
        ...verdicts(title, results),
        ...rows
          .filter(({ stage }) => stage.table !== 'pairs' && stage.table !== 'latency')
          .map(({ stage }) => `![${stage.title}](results/${stage.id}.png)`),
      ].join('\n\n'),
    );
  if (kinds !== undefined) shown.push(`## ${KINDS_TITLE}\n\n${kinds}`);
  const missing = EXPERIMENTS.filter(({ id }) => !results.some(({ stage }) => stage.id === id));
  const absent =
    missing.length > 0
      ? [`## Not run yet\n\n${missing.map(({ id, title }) => `- \`${id}\`: ${title}`).join('\n')}`]
      : [];
  return `${[INTRODUCTION, ...shown, ...absent, runs(results)].join('\n\n')}\n`;
}

/** How each row was made. */
function runs(results: readonly Result[]): string {
  const rows = results.map(
    ({ stage, marker }) =>
      `### ${stage.title} (\`${stage.id}\`)\n\n${marker.finished}, commit ${marker.commit}, ${marker.seconds} s on ${marker.machine}\n\n<!-- not run: npm run repro runs it, and wrote this page -->\n\`\`\`sh\n${marker.commands.join('\n')}\n\`\`\``,
  );
  return ['## The runs', ...rows].join('\n\n');
}
