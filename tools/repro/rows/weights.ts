/** As the shipped weights were made. */
import { single, type Row, type Stage } from '../row.js';

const weights = (id: string, title: string, ...commands: Stage['commands']): Row =>
  single(id, title, 'weights', commands);
const make = (out: string, ...options: readonly string[]): readonly string[] => [
  'make-model',
  'toyland',
  '--dtype',
  'float32',
  ...options,
  '--out',
  out,
];

export const WEIGHTS: readonly Row[] = [
  weights('start', 'untrained networks', make('work_dirs/toyland_start'), [
    'make-model',
    'toyland-clip',
    '--out',
    'work_dirs/toyland_clip_start',
  ]),
  weights('clip', 'CLIP', ['train', 'toyland_clip', '--resume']),
  weights('clip_refine', 'CLIP whose texts the U-Nets see', ['train', 'toyland_clip_refine', '--resume']),
  weights('classifier', 'classifier', ['train', 'toyland_classifier', '--resume']),
  weights(
    'dino',
    'vision transformer',
    ['train', 'toyland_dino', '--resume'],
    ['train', 'toyland_dino_refine', '--resume'],
  ),
  weights(
    'vae',
    'autoencoder',
    ['train', 'toyland_vae', '--resume'],
    ['train', 'toyland_vae_refine', '--resume'],
    ['train', 'toyland_vae_refine_2', '--resume'],
  ),
  weights(
    'teacher',
    'U-Net',
    make(
      'work_dirs/toyland_base',
      '--vae',
      'work_dirs/toyland_vae_refine_2',
      '--clip',
      'work_dirs/toyland_clip_refine',
    ),
    ['train', 'toyland_teacher', '--resume'],
    ['export-pipeline', 'work_dirs/toyland_teacher', '--out', 'work_dirs/toyland_teacher_pipeline'],
    ['train', 'toyland_teacher_refine', '--resume'],
  ),
];
