/**
 * Smaller U-Nets made of the blocks of Stable Diffusion 1.x and 2.x that matter most: the layouts of BK-SDM (Kim et al.,
 * arXiv 2305.15798) and of segmind's distill-sd, with the teacher's weights as the student's start.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { RawConfig } from '../networks/component-config.js';
import { derivePipeline } from '../formats/pipeline/derived-pipeline.js';
import { readJson } from '../formats/read-json.js';
import { type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { SafetensorsFile, writeSafetensorsStream } from '../formats/safetensors/safetensors.js';
import type { TensorEntry, WeightFile } from '../formats/weight-file.js';

interface Removal {
  readonly keepsMidBlock: boolean;
  /** The stage at the lowest resolution, down and up. */
  readonly keepsDeepestStage: boolean;
  readonly summary: string;
}

/** Every layout keeps one residual block per down stage and the first and last of each up stage. */
export const BLOCK_REMOVALS = {
  base: { keepsMidBlock: true, keepsDeepestStage: true, summary: 'BK-SDM-Base, 67 % of SD 1.5' },
  small: { keepsMidBlock: true, keepsDeepestStage: true, summary: 'segmind small-sd, the same layout as base' },
  bk_small: { keepsMidBlock: false, keepsDeepestStage: true, summary: 'BK-SDM-Small: no mid block, 56 % of SD 1.5' },
  tiny: {
    keepsMidBlock: false,
    keepsDeepestStage: false,
    summary: 'segmind tiny-sd and BK-SDM-Tiny: three stages, no mid block, 38 % of SD 1.5',
  },
} as const satisfies Record<string, Removal>;
export type BlockRemoval = keyof typeof BLOCK_REMOVALS;

/** What SD 1.x and 2.x have in common, and the removals are defined for. */
const TOPOLOGY: Readonly<Record<string, readonly unknown[]>> = {
  down_block_types: [['CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D', 'DownBlock2D']],
  up_block_types: [['UpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'CrossAttnUpBlock2D']],
  // diffusers' defaults where the file lacks the field
  mid_block_type: ['UNetMidBlock2DCrossAttn', undefined],
  layers_per_block: [2, [2, 2, 2, 2], undefined],
};
const STAGES = 4;

/** Lists with one value per stage, from the first. */
const PER_STAGE = [
  'block_out_channels',
  'down_block_types',
  'attention_head_dim',
  'num_attention_heads',
  'cross_attention_dim',
  'transformer_layers_per_block',
  'only_cross_attention',
];

/**
 * The student's config.json.
 * @param teacher config.json of a U-Net of SD 1.x or 2.x, of any width
 * @param where the teacher's file, for errors
 * @throws UserError when the teacher has another topology
 */
export function studentConfig(teacher: RawConfig, removal: BlockRemoval, where: string): RawConfig {
  const channels = teacher['block_out_channels'];
  if (!Array.isArray(channels) || channels.length !== STAGES)
    throw otherTopology(where, 'block_out_channels', channels, `${STAGES} values`);
  for (const [key, allowed] of Object.entries(TOPOLOGY)) {
    if (!allowed.some((v) => JSON.stringify(v) === JSON.stringify(teacher[key])))
      throw otherTopology(where, key, teacher[key], JSON.stringify(allowed[0]));
  }
  const { keepsMidBlock, keepsDeepestStage } = BLOCK_REMOVALS[removal];
  const student: Record<string, unknown> = { ...teacher, layers_per_block: 1 };
  if (!keepsMidBlock) student['mid_block_type'] = null;
  if (keepsDeepestStage) return student;
  // The first up block then continues the second deepest stage, with layers made for the deepest one's width.
  if (channels[STAGES - 1] !== channels[STAGES - 2])
    throw otherTopology(
      where,
      'block_out_channels',
      channels,
      `two equal last values, without which "${removal}" does not fit together`,
    );
  for (const key of PER_STAGE) {
    const value = teacher[key];
    if (Array.isArray(value)) student[key] = value.slice(0, -1);
  }
  // The up blocks start with the deepest one.
  student['up_block_types'] = (teacher['up_block_types'] as string[]).slice(1);
  return student;
}

const otherTopology = (where: string, key: string, actual: unknown, expected: string): UserError =>
  new UserError(
    `${where}: ${key} is ${JSON.stringify(actual)}; blocks are removed from U-Nets of SD 1.x and 2.x only, which have ${expected}`,
  );

/**
 * Where a parameter of the teacher goes.
 * @param key e.g. `up_blocks.1.resnets.2.conv1.weight`
 * @returns its name in the student, undefined when it is removed
 */
export function studentKey(key: string, removal: BlockRemoval): string | undefined {
  const { keepsMidBlock, keepsDeepestStage } = BLOCK_REMOVALS[removal];
  const [part, block, kind, layer, ...rest] = key.split('.');
  if (part === 'mid_block') return keepsMidBlock ? key : undefined;
  if (part !== 'down_blocks' && part !== 'up_blocks') return key;
  const stage = Number(block),
    isLayer = kind === 'resnets' || kind === 'attentions';
  if (part === 'down_blocks') {
    if (isLayer && layer !== '0') return undefined;
    // Without the deepest stage nothing is left to downsample for above it.
    const removed = !keepsDeepestStage && (stage === STAGES - 1 || (stage === STAGES - 2 && kind === 'downsamplers'));
    return removed ? undefined : key;
  }
  if (isLayer && layer === '1') return undefined;
  const newStage = keepsDeepestStage ? stage : stage - 1;
  if (newStage < 0) return undefined;
  return [part, newStage, kind, isLayer && layer === '2' ? '1' : layer, ...rest].join('.');
}

export interface KeyMap {
  readonly teacherToStudent: ReadonlyMap<string, string>;
  readonly dropped: readonly string[];
}

/** `studentKey` of every parameter of a teacher. */
export function studentKeys(teacherKeys: Iterable<string>, removal: BlockRemoval): KeyMap {
  const teacherToStudent = new Map<string, string>(),
    dropped: string[] = [];
  for (const key of teacherKeys) {
    const kept = studentKey(key, removal);
    if (kept === undefined) dropped.push(key);
    else teacherToStudent.set(key, kept);
  }
  return { teacherToStudent, dropped };
}

/** The teacher's weights under the student's names, where they lie: nothing is copied. */
export function studentWeights(teacher: WeightFile, removal: BlockRemoval): WeightFile {
  const kept = studentKeys(teacher.entries.keys(), removal).teacherToStudent;
  const entries = [...kept].map(
    ([from, name]) => [name, { ...(teacher.entries.get(from) as TensorEntry), name }] as const,
  );
  return new SafetensorsFile(teacher.files, new Map(entries), teacher.metadata);
}

/** Writes the student's weights, in the teacher's dtypes. */
export async function writeStudent(
  path: string,
  teacher: WeightFile,
  removal: BlockRemoval,
  log?: Logger,
): Promise<void> {
  const student = studentWeights(teacher, removal);
  await writeSafetensorsStream(
    path,
    [...student.entries.values()],
    ({ name }) => student.read(name),
    { format: 'pt' },
    log && { log, of: 'unet' },
  );
}

/**
 * Writes a pipeline folder with the student as its U-Net; the rest is copied from the teacher's.
 * @throws UserError when the teacher is not of SD 1.x or 2.x, or `out` exists and is not empty
 */
export async function compressPipeline(
  teacher: PipelineFolder,
  removal: BlockRemoval,
  out: string,
  log?: Logger,
): Promise<void> {
  const configFile = join(teacher.path, 'unet', 'config.json');
  const config = studentConfig(await readJson(configFile, 'every component has one'), removal, configFile);
  await derivePipeline(teacher.path, out, {
    unet: async (folder) => {
      await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
      await writeStudent(join(folder, 'diffusion_pytorch_model.safetensors'), teacher.unet.weights, removal, log);
    },
  });
}
