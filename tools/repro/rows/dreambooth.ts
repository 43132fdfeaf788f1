/** DreamBooth in toyland: models, subjects, ranks, kinds of adapter, and the search for its settings. */
import { PIPELINE, evaluationOf, priorOf, runOf, single, trained, type Row, type Stage, type Table } from '../row.js';
import { pipelineOf } from './students.js';

/** A subject's five pictures, and prompts with it in settings that they do not show. */
const SUBJECTS = { dog: 'dog', face: 'person', cat: 'cat', robot: 'robot' } as const;
export type SubjectName = keyof typeof SUBJECTS;
export const SUBJECT_NAMES = Object.keys(SUBJECTS) as SubjectName[];
/** Names of what is tuned, and where it is. */
const MODELS = {
  teacher: ['teacher', 'package:assets/toyland-sd'],
  base: ['Base', 'package:assets/toyland-small-sd'],
  small: ['Small', pipelineOf('student_small_0')],
  tiny: ['Tiny', 'package:assets/toyland-tiny-sd'],
} as const;
export type ModelName = keyof typeof MODELS;
export const MODEL_NAMES = Object.keys(MODELS) as ModelName[];

/** Pictures that settings were chosen by have other seeds than those that are reported. */
const REPORT_SEEDS = '0,1,2,3,4',
  SELECTION_SEEDS = '100,101,102';
/** Trainings that settings were chosen by have other seeds, too. */
const SELECTION_TRAININGS = [10, 11] as const;

const CONFIG = 'toyland_small_sd_dreambooth_lora_dog';

const personal = (subject: SubjectName, out: string, seeds: string, prompted = true): readonly string[] => [
  '--config',
  CONFIG,
  '--instances',
  `package:assets/toyland-instances/sks_${subject}`,
  ...(prompted ? ['--prompts', `package:assets/toyland-instances/prompts/sks_${subject}.txt`] : []),
  '--num-images',
  '28',
  '--seeds',
  seeds,
  '--no-latency',
  '--out',
  out,
  '--cfg-options',
  `val_evaluator.0.others.subjects=[${SUBJECTS[subject]}]`,
];
/** Pictures of the class alone: less like the subject is better. */
const prior = (subject: SubjectName, out: string): readonly string[] => [
  '--config',
  CONFIG,
  '--instances',
  `package:assets/toyland-instances/sks_${subject}`,
  '--prompts',
  `package:assets/toyland-instances/prompts/${SUBJECTS[subject]}.txt`,
  '--num-images',
  '14',
  '--seeds',
  REPORT_SEEDS,
  '--metrics',
  '{ type: DinoScore, model: package:assets/toyland-dino }',
  '--no-latency',
  '--out',
  out,
];

const dreambooth = (
  id: string,
  title: string,
  table: Table,
  model: ModelName,
  subject: SubjectName,
  options: readonly string[] = [],
): Row =>
  trained(id, title, table, (stage, seed): Stage['commands'] => [
    train(stage, seed, model, subject, options),
    ['eval', runOf(stage), ...personal(subject, evaluationOf(stage), REPORT_SEEDS)],
    ['eval', runOf(stage), ...prior(subject, priorOf(stage))],
  ]);
function train(
  stage: string,
  seed: number,
  model: ModelName,
  subject: SubjectName,
  options: readonly string[],
): readonly string[] {
  const noun = SUBJECTS[subject];
  return [
    'train',
    CONFIG,
    '--resume',
    '--work-dir',
    runOf(stage),
    '--cfg-options',
    `randomness.seed=${seed}`,
    `model.model=${MODELS[model][1]}`,
    `train_dataloader.dataset.dataset=package:assets/toyland-instances/sks_${subject}`,
    `train_dataloader.dataset.instance_prompt=a photo of sks ${noun}`,
    `train_dataloader.dataset.class_prompt=a photo of a ${noun}`,
    'custom_hooks.preview=null',
    'custom_hooks.evaluation=null',
    'custom_hooks.early_stopping=null',
    'default_hooks.checkpoint.save_best=null',
    'visualizer={ type: Visualizer, vis_backends: [{ type: LocalVisBackend }] }',
    ...options,
  ];
}

/** The subject as it is, in the settings of the prompts: what a perfect model would get. */
const ideal = (subject: SubjectName): Row => {
  const id = `ideal_${subject}`,
    drawings = `{ type: ToylandDataset, instance: sks_${subject}, num_images: 140, seed: 3000, ${PIPELINE} }`;
  return single(id, `true drawings, ${subject}`, 'dreambooth', [
    ['eval', '--pictures', drawings, ...personal(subject, evaluationOf(id), REPORT_SEEDS, false)],
  ]);
};
const untuned = (model: ModelName, subject: SubjectName): Row => {
  const id = `untuned_${model}_${subject}`;
  return single(id, `${MODELS[model][0]}, ${subject}, before`, 'dreambooth', [
    ['eval', MODELS[model][1], ...personal(subject, evaluationOf(id), REPORT_SEEDS)],
    ['eval', MODELS[model][1], ...prior(subject, priorOf(id))],
  ]);
};
const PERSONAL: readonly Row[] = SUBJECT_NAMES.flatMap((subject) => [
  ideal(subject),
  ...MODEL_NAMES.flatMap((model) => [
    untuned(model, subject),
    dreambooth(
      `dreambooth_${model}_${subject}`,
      `${MODELS[model][0]}, ${subject}, tuned`,
      'dreambooth',
      model,
      subject,
    ),
  ]),
]);

const both = (value: string): readonly string[] =>
  ['unet', 'text_encoder'].map((part) => `model.${part}_lora_config.${value}`);
const LORA: readonly Row[] = [
  ...[2, 32].map((r) =>
    dreambooth(`lora_r${r}`, `r = ${r}`, 'lora', 'base', 'dog', [
      `model.unet_lora_config.r=${r}`,
      `model.unet_lora_config.lora_alpha=${r}`,
    ]),
  ),
  dreambooth('lora_int8', 'base weights in 8 bits', 'lora', 'base', 'dog', ['model.base_precision=int8']),
  dreambooth('no_prior', 'without prior preservation', 'lora', 'base', 'dog', [
    'train_dataloader.dataset.class_prompt=null',
  ]),
];

/** Another kind in the places of the config's LoRA. */
function kind(
  type: string,
  options: string,
  convolutions = ', conv1, conv2, conv_shortcut, conv, conv_out, time_emb_proj',
): readonly string[] {
  const on = (targets: string): string => `{ _delete_: true, type: ${type}, ${options}, target_modules: [${targets}] }`;
  return [
    `model.unet_lora_config=${on(`to_q, to_k, to_v, to_out.0, proj_in, proj_out, ff.net.0.proj, ff.net.2${convolutions}`)}`,
    `model.text_encoder_lora_config=${on('q_proj, k_proj, v_proj, out_proj, fc1, fc2')}`,
  ];
}
const KINDS: readonly Row[] = [
  dreambooth('kind_dora', 'DoRA, r of the config', 'kinds', 'base', 'dog', both('use_dora=true')),
  dreambooth('kind_loha', 'LoHa, r = 4', 'kinds', 'base', 'dog', kind('LoHa', 'r: 4, alpha: 4')),
  dreambooth(
    'kind_lokr',
    'LoKr, r = 8, factor 4',
    'kinds',
    'base',
    'dog',
    kind('LoKr', 'r: 8, alpha: 8, decompose_factor: 4'),
  ),
  // PEFT 0.21 computes OFT wrongly on convolutions larger than 1x1, so that its folder would mean something else there.
  dreambooth(
    'kind_oft',
    'OFT, blocks of 16, no 3x3 convolutions',
    'kinds',
    'base',
    'dog',
    kind('OFT', 'oft_block_size: 16', ''),
  ),
];

/** What was tried before the config's settings were set; each with the two subjects that differ most. */
const SEARCHED = {
  loss: ['SNRL2Loss', 'L2Loss'],
  lr: ['0.001', '0.00175'],
  iterations: [400, 600],
} as const;
const SEARCH: readonly Row[] = SEARCHED.loss.flatMap((loss) =>
  SEARCHED.lr.flatMap((lr) =>
    SEARCHED.iterations.flatMap((iterations) =>
      (['dog', 'face'] as const).map((subject) => {
        const id = `search_${subject}_${loss}_${lr}_${iterations}`;
        return trained(
          id,
          `${subject}: ${loss}, lr ${lr}, ${iterations} iterations`,
          'search',
          (stage, seed): Stage['commands'] => [
            train(stage, seed, 'base', subject, [
              `model.loss={ _delete_: true, type: ${loss} }`,
              `optim_wrapper.optimizer.lr=${lr}`,
              `train_cfg.max_iters=${iterations}`,
            ]),
            ['eval', runOf(stage), ...personal(subject, evaluationOf(stage), SELECTION_SEEDS)],
          ],
          SELECTION_TRAININGS,
        );
      }),
    ),
  ),
);

export const DREAMBOOTH: readonly Row[] = [...PERSONAL, ...LORA, ...KINDS];
export const SETTINGS_SEARCH: readonly Row[] = SEARCH;
