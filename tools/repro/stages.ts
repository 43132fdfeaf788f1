/** Every run behind docs/results.md, as commands of diffengine. */

/** A row of a table of docs/results.md. */
export interface Stage {
  readonly id: string;
  /** what the row is called */
  readonly title: string;
  readonly table:
    'weights' | 'sizes' | 'latency' | 'recovery' | 'distillation' | 'pairs' | 'dreambooth' | 'lora' | 'kinds';
  /** arguments of diffengine, one list per command */
  readonly commands: readonly (readonly string[])[];
}

const ROOT = 'work_dirs/repro';
const dirOf = (id: string): string => `${ROOT}/${id}`;
const CONFIG = 'toyland_small_sd_distill';
/** The work dir of a stage's training. */
export const runOf = (id: string): string => `${dirOf(id)}/run`;

/** Where the evaluation of a stage is; undefined for stages that have none. */
export const evaluationOf = ({ id, table }: Stage): string | undefined =>
  table === 'weights' ? undefined : `${dirOf(id)}/eval`;

/** As the shipped weights were made. */
const weights = (id: string, title: string, commands: readonly (readonly string[])[]): Stage => ({
  id,
  title,
  table: 'weights',
  commands,
});
const WEIGHTS: readonly Stage[] = [
  weights('start', 'untrained networks', [
    ['make-model', 'toyland', '--dtype', 'float32', '--out', 'work_dirs/toyland_start'],
    ['make-model', 'toyland-clip', '--out', 'work_dirs/toyland_clip_start'],
  ]),
  weights('clip', 'CLIP', [['train', 'toyland_clip', '--resume']]),
  weights('classifier', 'classifier', [['train', 'toyland_classifier', '--resume']]),
  weights('vae', 'autoencoder', [['train', 'toyland_vae', '--resume']]),
  weights('base', 'pipeline with an untrained U-Net', [
    [
      'make-model',
      'toyland',
      '--dtype',
      'float32',
      '--vae',
      'work_dirs/toyland_vae',
      '--clip',
      'work_dirs/toyland_clip',
      '--out',
      'work_dirs/toyland_base',
    ],
  ]),
  weights('teacher', 'U-Net', [
    ['train', 'toyland_teacher', '--resume'],
    ['export-pipeline', 'work_dirs/toyland_teacher', '--out', 'work_dirs/toyland_teacher_pipeline'],
    ['train', 'toyland_teacher_refine', '--resume'],
    [
      'export-pipeline',
      'work_dirs/toyland_teacher_refine',
      '--out',
      'work_dirs/toyland_teacher_refined',
      '--dtype',
      'float16',
    ],
    ['train', 'toyland_teacher_refine_2', '--resume'],
  ]),
];

const evaluated = (
  id: string,
  title: string,
  table: Stage['table'],
  commands: readonly (readonly string[])[],
  model: string,
): Stage => ({
  id,
  title,
  table,
  commands: [...commands, ['eval', model, '--config', CONFIG, '--out', `${dirOf(id)}/eval`]],
});

/** A student of the shipped teacher. */
const student = (id: string, title: string, table: Stage['table'], options: readonly string[]): Stage => {
  const run = `${dirOf(id)}/run`;
  return evaluated(
    id,
    title,
    table,
    [
      ['train', CONFIG, '--resume', '--work-dir', run, ...(options.length > 0 ? ['--cfg-options', ...options] : [])],
      ['export-pipeline', run, '--out', `${dirOf(id)}/pipeline`],
    ],
    `${dirOf(id)}/pipeline`,
  );
};

/** Drawings of combinations that training never showed, other ones than those they are compared with: what a perfect model would get. */
const DRAWINGS =
  '{ type: ToylandDataset, num_images: 600, seed: 2000, split: held_out, captions: full, pipeline: [{ type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }] }';
const SIZES: readonly Stage[] = [
  {
    id: 'drawings',
    title: 'true drawings',
    table: 'sizes',
    commands: [['eval', '--pictures', DRAWINGS, '--config', CONFIG, '--out', `${dirOf('drawings')}/eval`]],
  },
  evaluated('teacher_eval', 'teacher', 'sizes', [], 'package:assets/toyland-sd'),
  student('student_base', 'Base (small-sd)', 'sizes', []),
  student('student_small', 'Small', 'sizes', ['model.block_removal=bk_small']),
  student('student_tiny', 'Tiny (tiny-sd)', 'sizes', ['model.block_removal=tiny']),
];

/** Times do not depend on training: one after the other, in half a minute, so that the machine is the same to all. */
const LATENCY: readonly Stage[] = (
  [
    ['teacher', 'teacher', undefined],
    ['base', 'Base (small-sd)', 'base'],
    ['small', 'Small', 'bk_small'],
    ['tiny', 'Tiny (tiny-sd)', 'tiny'],
  ] as const
).map(([name, title, preset]) => {
  const id = `latency_${name}`,
    model = preset ? `${dirOf(id)}/pipeline` : 'package:assets/toyland-sd';
  return {
    id,
    title,
    table: 'latency',
    commands: [
      ...(preset ? [['compress', 'package:assets/toyland-sd', '--preset', preset, '--out', model]] : []),
      [
        'eval',
        model,
        '--config',
        CONFIG,
        '--metrics',
        'ClipScore',
        '--num-images',
        '1',
        '--seeds',
        '1',
        '--out',
        `${dirOf(id)}/eval`,
      ],
    ],
  };
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
const recovering = (id: string, title: string, ...options: readonly string[]): Stage =>
  student(id, title, 'recovery', [...RECOVERY, ...options]);
const REMOVED = `${dirOf('recover_untrained')}/pipeline`;
const RECOVERIES: readonly Stage[] = [
  evaluated(
    'recover_untrained',
    'not trained',
    'recovery',
    [['compress', 'package:assets/toyland-sd', '--preset', 'tiny', '--out', REMOVED]],
    REMOVED,
  ),
  recovering('recover_kd', 'with KD'),
  recovering('recover_no_feature_kd', 'without feature KD', NO_FEATURE_KD),
  recovering('recover_no_kd', 'without any KD', NO_FEATURE_KD, NO_OUTPUT_KD),
  recovering('recover_random_init', 'with KD, from a random start', RANDOM),
];

/** The same student for longer. */
const SHORT = ['model.block_removal=tiny', 'train_cfg.max_iters=500'];
const short = (id: string, title: string, table: Stage['table'], ...options: readonly string[]): Stage =>
  student(id, title, table, [...SHORT, ...options]);
const DISTILLATION: readonly Stage[] = [
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
const PAIRS: readonly Stage[] = [500, 2000].map((n) =>
  short(`pairs_${n}`, n.toLocaleString('en-US'), 'pairs', `train_dataloader.dataset.num_images=${n}`),
);

/** A subject's five pictures, and prompts with it in settings that they do not show. */
const SUBJECTS = { dog: 'dog', face: 'person', cat: 'cat' } as const;
type Subject = keyof typeof SUBJECTS;
/** Names of what is tuned, and where it is. */
const MODELS = {
  sd: ['teacher', 'package:assets/toyland-sd'],
  'small-sd': ['small', 'package:assets/toyland-small-sd'],
  'tiny-sd': ['tiny', 'package:assets/toyland-tiny-sd'],
} as const;
type ModelName = keyof typeof MODELS;

const personal = (subject: Subject, folder: string, prompted = true): readonly string[] => [
  '--config',
  'toyland_sd_dreambooth_lora_dog',
  '--instances',
  `package:assets/toyland-instances/sks_${subject}`,
  ...(prompted ? ['--prompts', `package:assets/toyland-instances/prompts/sks_${subject}.txt`] : []),
  '--drop-tokens',
  'sks',
  '--metrics',
  'ClipImageScore',
  'ClipScore',
  '--num-images',
  '28',
  '--out',
  folder,
];
const dreambooth = (
  id: string,
  title: string,
  table: Stage['table'],
  model: ModelName,
  subject: Subject,
  options: readonly string[] = [],
): Stage => {
  const run = `${dirOf(id)}/run`,
    noun = SUBJECTS[subject];
  return {
    id,
    title,
    table,
    commands: [
      [
        'train',
        'toyland_sd_dreambooth_lora_dog',
        '--resume',
        '--work-dir',
        run,
        '--cfg-options',
        `model.model=${MODELS[model][1]}`,
        `train_dataloader.dataset.dataset=package:assets/toyland-instances/sks_${subject}`,
        `train_dataloader.dataset.instance_prompt=a photo of sks ${noun}`,
        `train_dataloader.dataset.class_prompt=a photo of a ${noun}`,
        ...options,
      ],
      ['eval', run, ...personal(subject, `${dirOf(id)}/eval`)],
    ],
  };
};
const untuned = (model: ModelName, subject: Subject): Stage => {
  const id = `untuned_${model}_${subject}`;
  return {
    id,
    title: `${MODELS[model][0]}, ${subject}, before`,
    table: 'dreambooth',
    commands: [['eval', MODELS[model][1], ...personal(subject, `${dirOf(id)}/eval`)]],
  };
};
/** The subject as it is, in the settings of the prompts: what a perfect model would get. */
const ideal = (subject: Subject): Stage => {
  const id = `ideal_${subject}`,
    drawings = `{ type: ToylandDataset, instance: sks_${subject}, num_images: 84, seed: 3000, pipeline: [{ type: ToTensor }, { type: Normalize, mean: [0.5], std: [0.5] }, { type: PackInputs }] }`;
  return {
    id,
    title: `true drawings, ${subject}`,
    table: 'dreambooth',
    commands: [['eval', '--pictures', drawings, ...personal(subject, `${dirOf(id)}/eval`, false)]],
  };
};
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[],
  SUBJECT_NAMES = Object.keys(SUBJECTS) as Subject[];
const DREAMBOOTH: readonly Stage[] = [
  ...SUBJECT_NAMES.map(ideal),
  ...MODEL_NAMES.flatMap((model) =>
    SUBJECT_NAMES.flatMap((subject) => [
      untuned(model, subject),
      dreambooth(
        `dreambooth_${model}_${subject}`,
        `${MODELS[model][0]}, ${subject}, tuned`,
        'dreambooth',
        model,
        subject,
      ),
    ]),
  ),
];
const LORA: readonly Stage[] = [
  ...[2, 32].map((r) =>
    dreambooth(`lora_r${r}`, `r = ${r}`, 'lora', 'small-sd', 'dog', [
      `model.unet_lora_config.r=${r}`,
      `model.unet_lora_config.lora_alpha=${r}`,
    ]),
  ),
  dreambooth('lora_int8', 'r = 8, base weights in 8 bits', 'lora', 'small-sd', 'dog', ['model.base_precision=int8']),
  dreambooth('no_prior', 'r = 8, without prior preservation', 'lora', 'small-sd', 'dog', [
    'train_dataloader.dataset.class_prompt=null',
  ]),
];

/** Kinds of adapter with the settings that were taken for them, the same ones on the U-Net and the text encoder. */
export const KINDS = {
  lora: { title: 'LoRA, r = 8', options: [] },
  dora: {
    title: 'DoRA, r = 8',
    options: ['model.unet_lora_config.use_dora=true', 'model.text_encoder_lora_config.use_dora=true'],
  },
  loha: { title: 'LoHa, r = 4', options: kindOptions('LoHa', 'r: 4, alpha: 4') },
  lokr: { title: 'LoKr, r = 8, factor 4', options: kindOptions('LoKr', 'r: 8, alpha: 8, decompose_factor: 4') },
  // PEFT 0.21 computes OFT wrongly on convolutions larger than 1x1, so that its folder would mean something else there.
  oft: { title: 'OFT, blocks of 16, no 3x3 convolutions', options: kindOptions('OFT', 'oft_block_size: 16', '') },
} as const;
export type KindName = keyof typeof KINDS;
/** Each is a training of its own: intervals are over trainings. */
export const KIND_SEEDS = [0, 1, 2] as const;

/** Another kind in the places of the config's LoRA. */
function kindOptions(type: string, options: string, convolutions = ', conv1, conv2'): readonly string[] {
  const on = (targets: string): string => `{ _delete_: true, type: ${type}, ${options}, target_modules: [${targets}] }`;
  return [
    `model.unet_lora_config=${on(`to_q, to_k, to_v, to_out.0, proj_in, proj_out, ff.net.0.proj, ff.net.2${convolutions}`)}`,
    `model.text_encoder_lora_config=${on('q_proj, k_proj, v_proj, out_proj, fc1, fc2')}`,
  ];
}

export const kindStage = (kind: KindName, seed: number): Stage => {
  const id = `kind_${kind}_${seed}`;
  const run = runOf(id);
  const train = ['train', 'toyland_small_sd_dreambooth_lora_dog', '--resume', '--work-dir', run, '--cfg-options'];
  return {
    id,
    title: `${KINDS[kind].title}, seed ${seed}`,
    table: 'kinds',
    commands: [
      [
        ...train,
        `randomness.seed=${seed}`,
        'train_cfg.max_iters=200',
        'custom_hooks.preview=null',
        'custom_hooks.evaluation=null',
        ...KINDS[kind].options,
      ],
      ['eval', run, ...personal('dog', `${dirOf(id)}/eval`)],
    ],
  };
};
const KIND_STAGES: readonly Stage[] = (Object.keys(KINDS) as KindName[]).flatMap((kind) =>
  KIND_SEEDS.map((seed) => kindStage(kind, seed)),
);

export const EXPERIMENTS: readonly Stage[] = [
  ...SIZES,
  ...LATENCY,
  ...RECOVERIES,
  ...DISTILLATION,
  ...DREAMBOOTH,
  ...LORA,
  ...KIND_STAGES,
  ...PAIRS,
];
export const ALL_STAGES: readonly Stage[] = [...WEIGHTS, ...EXPERIMENTS];
export const markerOf = ({ id }: Stage): string => `${dirOf(id)}/done.json`;
