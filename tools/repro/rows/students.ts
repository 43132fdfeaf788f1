/** The teacher, its students, and what distillation is for. */
import { PIPELINE, dirOf, evaluationOf, runOf, single, trained, type Row, type Stage, type Table } from '../row.js';

const CONFIG = 'toyland_small_sd_distill',
  TEACHER = 'package:assets/toyland-sd';
/** A student of the shipped teacher, as a folder. */
export const pipelineOf = (id: string): string => `${dirOf(id)}/pipeline`;
const evaluate = (id: string, model: string): readonly string[] => [
  'eval',
  model,
  '--config',
  CONFIG,
  '--out',
  evaluationOf(id),
];

const student = (id: string, title: string, table: Table, ...options: readonly string[]): Row =>
  trained(id, title, table, (stage, seed): Stage['commands'] => [
    ['train', CONFIG, '--resume', '--work-dir', runOf(stage), '--cfg-options', `randomness.seed=${seed}`, ...options],
    ['export-pipeline', runOf(stage), '--out', pipelineOf(stage)],
    evaluate(stage, pipelineOf(stage)),
  ]);

/** Drawings of combinations that training never showed, other ones than those they are compared with: what a perfect model would get. */
const DRAWINGS = `{ type: ToylandDataset, num_images: 600, seed: 2000, split: held_out, captions: full, ${PIPELINE} }`;
const SIZES: readonly Row[] = [
  single('drawings', 'true drawings', 'sizes', [
    ['eval', '--pictures', DRAWINGS, '--config', CONFIG, '--out', evaluationOf('drawings')],
  ]),
  single('teacher_eval', 'teacher', 'sizes', [evaluate('teacher_eval', TEACHER)]),
  student('student_base', 'Base (small-sd)', 'sizes'),
  student('student_small', 'Small', 'sizes', 'model.block_removal=bk_small'),
  student('student_tiny', 'Tiny (tiny-sd)', 'sizes', 'model.block_removal=tiny'),
];

/** Times do not depend on training: one after the other, in half a minute, so that the machine is the same to all. */
const LATENCY: readonly Row[] = (
  [
    ['teacher', 'teacher', undefined],
    ['base', 'Base (small-sd)', 'base'],
    ['small', 'Small', 'bk_small'],
    ['tiny', 'Tiny (tiny-sd)', 'tiny'],
  ] as const
).map(([name, title, preset]) => {
  const id = `latency_${name}`,
    model = preset ? pipelineOf(id) : TEACHER,
    quick = ['--metrics', 'ClipScore', '--num-images', '1', '--seeds', '1'];
  return single(id, title, 'latency', [
    ...(preset ? [['compress', TEACHER, '--preset', preset, '--out', model]] : []),
    [...evaluate(id, model), ...quick],
  ]);
});

const NO_FEATURE_KD = 'model.feature_weight=0',
  NO_OUTPUT_KD = 'model.output_weight=0',
  RANDOM = 'model.init=random';

/** The most compressed student in so few iterations that it shows what helps: after some hundreds the data alone is enough here. */
const RECOVERY = [
  'model.block_removal=tiny',
  'train_cfg.max_iters=40',
  'param_scheduler.0.end=10',
  'param_scheduler.1.begin=10',
  'custom_hooks.ema=null',
];
const recovering = (id: string, title: string, ...options: readonly string[]): Row =>
  student(id, title, 'recovery', ...RECOVERY, ...options);
const RECOVERIES: readonly Row[] = [
  single('recover_untrained', 'not trained', 'recovery', [
    ['compress', TEACHER, '--preset', 'tiny', '--out', pipelineOf('recover_untrained')],
    evaluate('recover_untrained', pipelineOf('recover_untrained')),
  ]),
  recovering('recover_kd', 'with KD'),
  recovering('recover_no_feature_kd', 'without feature KD', NO_FEATURE_KD),
  recovering('recover_no_kd', 'without any KD', NO_FEATURE_KD, NO_OUTPUT_KD),
  recovering('recover_random_init', 'with KD, from a random start', RANDOM),
];

/** The same student for longer. */
const short = (id: string, title: string, table: Table, ...options: readonly string[]): Row =>
  student(id, title, table, 'model.block_removal=tiny', 'train_cfg.max_iters=500', ...options);
const DISTILLATION: readonly Row[] = [
  short('kd', 'with KD', 'distillation'),
  short('no_kd', 'without any KD', 'distillation', NO_FEATURE_KD, NO_OUTPUT_KD),
  short('no_feature_kd', 'without feature KD', 'distillation', NO_FEATURE_KD),
  short('random_init', 'with KD, from a random start', 'distillation', RANDOM),
  short(
    'random_init_no_kd',
    'without any KD, from a random start',
    'distillation',
    RANDOM,
    NO_FEATURE_KD,
    NO_OUTPUT_KD,
  ),
];
const PAIRS: readonly Row[] = [500, 2000].map((n) =>
  short(`pairs_${n}`, n.toLocaleString('en-US'), 'pairs', `train_dataloader.dataset.num_images=${n}`),
);

export const STUDENTS: readonly Row[] = [...SIZES, ...LATENCY, ...RECOVERIES, ...DISTILLATION, ...PAIRS];
