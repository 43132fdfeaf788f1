/** docs/results.md and its pictures, from what the trainings left. */
import { writeFileAtomic } from '../../src/base/atomic-file.js';
import { APART_TITLE, apartSection } from './apart.js';
import { meansOverSubjects } from './means.js';
import { comparison, strip } from './pictures.js';
import { percent, readResult, valueOf, withInterval, type Result } from './result.js';
import type { Row, Table } from './row.js';
import { ALL_ROWS, EXPERIMENTS } from './rows/all.js';
import { MODEL_NAMES, SUBJECT_NAMES } from './rows/dreambooth.js';
import { DISTILLATION_TITLE, INTRODUCTION, KINDS_TITLE, LORA_TITLE, MEANS_TITLE, NOTES, PAIRS_TITLE, PERSONAL_TITLE, RECOVERY_TITLE, SEARCH_TITLE, SIZES_TITLE, LATENCY_TITLE, verdicts } from './text.js'; // prettier-ignore

const PAGE = 'docs/results.md';
/** Prompts of a subject. */
const PROMPTS = 7;

export async function writePage(): Promise<void> {
  const results: Result[] = [];
  for (const row of ALL_ROWS) {
    if (row.table === 'weights') continue;
    const result = await readResult(row);
    if (result) results.push(result);
  }
  const made = new Set(results.map(({ row }) => row.id));
  for (const { row } of results) if (isShown(row)) await strip(row);
  for (const subject of SUBJECT_NAMES) {
    const rows = linesOf(subject);
    if (rows.every(({ id }) => made.has(id))) await comparison(`dreambooth_${subject}`, rows, PROMPTS);
  }
  await writeFileAtomic(PAGE, page(results, await apartSection()));
  const experiments = EXPERIMENTS.filter(({ id }) => made.has(id)).length;
  console.log(`${PAGE}: ${experiments} of ${EXPERIMENTS.length} rows`);
}

const isShown = ({ table }: Row): boolean => table === 'sizes' || table === 'recovery' || table === 'distillation';
/** True drawings, then what each model draws. */
const linesOf = (subject: string): Row[] =>
  [`ideal_${subject}`, ...MODEL_NAMES.map((model) => `dreambooth_${model}_${subject}`)].map((id) =>
    EXPERIMENTS.find((row) => row.id === id)!,
  );

type Column = readonly [heading: string, cell: (result: Result) => string];
const score = (heading: string, name: string): Column => [heading, (r) => withInterval(valueOf(r, name))];
const share = (heading: string, name: string): Column => [heading, (r) => percent(valueOf(r, name))];
const QUALITY: readonly Column[] = [
  score('FD ↓', 'FD'),
  score('CMMD ↓', 'CMMD'),
  score('CLIP-T ↑', 'CLIP-T'),
  share('subject', 'subject accuracy'),
  share('colour', 'colour accuracy'),
  share('setting', 'setting accuracy'),
];
const cost = ({ done }: Result) => done[0].evaluation.cost;
const SIZE: readonly Column[] = [
  ['U-Net parameters', (r) => (cost(r) ? `${(cost(r)!.parameters.unet / 1e6).toFixed(2)} M` : '')],
  ['MACs per step', (r) => (cost(r) ? `${(cost(r)!.macs / 1e6).toFixed(1)} M` : '')],
];
const LATENCY: readonly Column[] = [
  ['guided step of one picture', ({ done }) => (done[0].evaluation.latency ? `${done[0].evaluation.latency.median_ms.toFixed(1)} ms` : '')], // prettier-ignore
  ['steps measured', ({ done }) => String(done[0].evaluation.latency?.runs ?? '')],
];
const LIKENESS: readonly Column[] = [
  score('DINO ↑', 'DINO'),
  share('recognised', 'recognised'),
  share('setting', 'setting accuracy'),
  score('CLIP-I ↑', 'CLIP-I'),
  score('CLIP-T ↑', 'CLIP-T'),
  ['PRES ↓', (r) => withInterval(valueOf(r, 'DINO', ({ prior }) => prior))],
  score('DIV ↑', 'DIV'),
];
const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1];
const trainedCell = (
  r: Result,
  text: (of: (pick: 'parameters' | 'secondsPerStep' | 'memory') => number) => string,
): string =>
  r.done.every(({ training }) => training) ? text((pick) => median(r.done.map(({ training }) => training![pick]))) : '';
const COST: readonly Column[] = [
  ['1,000 iterations', (r) => trainedCell(r, (of) => `${((1000 * of('secondsPerStep')) / 60).toFixed(1)} min`)],
  ['memory', (r) => trainedCell(r, (of) => (of('memory') > 0 ? `${of('memory').toFixed(2)} GiB` : ''))],
];
/** As DiffEngine's table of times, whose rows are models. */
const times = (teacher: Result | undefined): Column => [
  "teacher's time = 1",
  (r) =>
    teacher
      ? trainedCell(teacher, (whole) =>
          trainedCell(r, (of) => (of('secondsPerStep') / whole('secondsPerStep')).toFixed(2)),
        )
      : '',
];
const ADAPTER: readonly Column[] = [
  ['trained parameters', (r) => trainedCell(r, (of) => of('parameters').toLocaleString('en-US'))],
];

function table(first: string, results: readonly Result[], columns: readonly Column[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const head = [first, ...columns.map(([heading]) => heading)];
  return [
    line(head),
    line(head.map(() => '---')),
    ...results.map((r) => line([r.row.title, ...columns.map(([, cell]) => cell(r))])),
  ].join('\n');
}

function page(results: readonly Result[], apart: string): string {
  const of = (name: Table): Result[] => results.filter(({ row }) => row.table === name);
  const renamed = (id: string, title: string): Result[] =>
    results.filter(({ row }) => row.id === id).map((r) => ({ ...r, row: { ...r.row, title } }));
  const means = meansOverSubjects(results),
    teacher = means.find(({ row }) => row.id === 'dreambooth_teacher_mean');
  const base = renamed('dreambooth_base_dog', 'as the config has it');
  const sections: readonly (readonly [string, readonly Result[], string, readonly Column[]])[] = [
    [SIZES_TITLE, of('sizes'), 'model', [...SIZE, ...QUALITY]],
    [LATENCY_TITLE, of('latency'), 'model', LATENCY],
    [RECOVERY_TITLE, of('recovery'), 'training', QUALITY],
    [DISTILLATION_TITLE, of('distillation'), 'training', QUALITY],
    [PAIRS_TITLE, of('pairs').length > 0 ? [...of('pairs'), ...renamed('kd', '12,000')] : [], 'pairs', QUALITY],
    [MEANS_TITLE, means, 'model', [...LIKENESS, ...COST, times(teacher)]],
    [PERSONAL_TITLE, of('dreambooth'), 'model, subject', [...LIKENESS, ...COST]],
    [LORA_TITLE, of('lora').length > 0 ? [...base, ...of('lora')] : [], 'training', [...ADAPTER, ...LIKENESS, ...COST]],
    [KINDS_TITLE, of('kinds').length > 0 ? [...base, ...of('kinds')] : [], 'adapter', [...ADAPTER, ...LIKENESS, ...COST]], // prettier-ignore
    [SEARCH_TITLE, of('search'), 'setting', LIKENESS.slice(0, 5)],
  ];
  const shown = sections
    .filter(([, rows]) => rows.length > 0)
    .map(([title, rows, first, columns]) =>
      [
        `## ${title}`,
        table(first, rows, columns),
        ...(title in NOTES ? [NOTES[title]] : []),
        ...verdicts(title, [...results, ...means]),
        ...picturesOf(title, rows),
      ].join('\n\n'),
    );
  shown.push(`## ${APART_TITLE}\n\n${apart}`);
  const missing = EXPERIMENTS.filter(({ id }) => !results.some(({ row }) => row.id === id));
  const absent =
    missing.length > 0
      ? [`## Not run yet\n\n${missing.map(({ id, title }) => `- \`${id}\`: ${title}`).join('\n')}`]
      : [];
  return `${[INTRODUCTION, madeBy(results), ...shown, ...absent, runs(results)].join('\n\n')}\n`;
}

function picturesOf(title: string, rows: readonly Result[]): string[] {
  if (title === PERSONAL_TITLE) {
    const lines = ['true drawings', ...MODEL_NAMES].join(', ');
    return SUBJECT_NAMES.filter((subject) =>
      linesOf(subject).every(({ id }) => rows.some(({ row }) => row.id === id)),
    ).map((subject) => `![${subject}: ${lines}, one line each](results/dreambooth_${subject}.png)`);
  }
  return rows.filter(({ row }) => isShown(row)).map(({ row }) => `![${row.title}](results/${row.id}.png)`);
}

const different = (results: readonly Result[], what: 'commit' | 'machine'): string[] => [
  ...new Set(results.flatMap(({ done }) => done.map(({ marker }) => marker[what]))),
];
/** Which code and machine the page's numbers come from, and how long they took. */
function madeBy(results: readonly Result[]): string {
  const hours = results.flatMap(({ done }) => done).reduce((sum, { marker }) => sum + marker.seconds / 3600, 0);
  return `Commit ${different(results, 'commit').join(', ')}; ${different(results, 'machine').join('; ')}; ${hours.toFixed(1)} hours of runs in all.`;
}

/** How each row was made: the commands of its first training. */
function runs(results: readonly Result[]): string {
  const rows = results.map(({ row, done }) => {
    const seconds = done.map(({ marker }) => marker.seconds).join(', ');
    const several = row.stages.length > 1 ? `; ${row.stages.length} trainings, of which this is the first` : '';
    return `### ${row.title} (\`${row.id}\`)\n\n${done[0].marker.finished}, ${seconds} s${several}\n\n<!-- not run: npm run repro runs it, and wrote this page -->\n\`\`\`sh\n${done[0].marker.commands.join('\n')}\n\`\`\``;
  });
  return ['## The runs', ...rows].join('\n\n');
}
