/** Two published recipes: which hidden states of the student follow which of the teacher, and how much each loss counts. */
import { UserError } from '../base/errors.js';
import type { UNetConfig } from '../networks/unet-config.js';

/** Modules of the teacher's and of the student's U-Net; a block (after its down- or upsampler), a convolution or a linear layer. */
export type TapPair = readonly [teacher: string, student: string];

export interface DistillWeights {
  /** of the loss against the true noise */
  readonly task: number;
  /** of the distance of the two predictions */
  readonly output: number;
  /** of the sum of the distances of the tapped hidden states */
  readonly feature: number;
}

interface Preset {
  readonly weights: DistillWeights;
  /** @param stages of both networks @param removed whether the student lacks the teacher's deepest stage */
  readonly taps: (teacher: UNetConfig, student: UNetConfig, removed: boolean) => readonly TapPair[];
}

/** `<kind>.0` of the student and the blocks after it, each with the teacher's `shift` further on. */
const blocks = (kind: string, count: number, shift = 0): TapPair[] =>
  Array.from({ length: count }, (_, i) => [`${kind}.${i + shift}`, `${kind}.${i}`]);
const stagesOf = (config: UNetConfig): number => config.blockOutChannels.length;

export const DISTILL_PRESETS = {
  /** Kim et al., arXiv 2305.15798, and the hooks and default weights of Nota-NetsPresso/BK-SDM, src/kd_train_text_to_image.py. */
  bk_sdm: {
    weights: { task: 1, output: 1, feature: 1 },
    taps: (teacher, student, removed) => {
      const stages = stagesOf(student),
        deepest = stages - 1;
      if (!removed) return [...blocks('up_blocks', stages), ...blocks('down_blocks', stages)];
      // The teacher's block goes on to its downsampler, which the student lacks: what comes before is compared.
      const lastAttention = (config: UNetConfig): string =>
        `down_blocks.${deepest}.attentions.${config.layersPerBlock[deepest] - 1}.proj_out`;
      return [
        ...blocks('down_blocks', deepest),
        [lastAttention(teacher), lastAttention(student)],
        ...blocks('up_blocks', stages, 1),
      ];
    },
  },
  /** segmind/distill-sd: its hook points, and the weights of its README. */
  segmind: {
    weights: { task: 1, output: 0.5, feature: 0.5 },
    taps: (teacher, student, removed) => {
      const stages = stagesOf(student),
        deepest = stages - 1;
      const mid: TapPair[] = teacher.hasMidBlock && student.hasMidBlock ? [['mid_block', 'mid_block']] : [];
      if (!removed) return [...blocks('down_blocks', stages), ...mid, ...blocks('up_blocks', stages)];
      return [
        ...blocks('down_blocks', deepest),
        ['up_blocks.0', `down_blocks.${deepest}`],
        ...blocks('up_blocks', stages, 1),
      ];
    },
  },
} as const satisfies Record<string, Preset>;
export type DistillPreset = keyof typeof DISTILL_PRESETS;

/** @throws UserError for a pair of networks that the recipe says nothing about */
export function presetTaps(preset: DistillPreset, teacher: UNetConfig, student: UNetConfig): readonly TapPair[] {
  const removed = stagesOf(teacher) - stagesOf(student);
  if (removed !== 0 && removed !== 1) {
    throw new UserError(
      `model.preset: "${preset}" pairs networks of equally many stages or one less, the teacher has ${stagesOf(teacher)} and the student ${stagesOf(student)}; give model.taps`,
    );
  }
  return DISTILL_PRESETS[preset].taps(teacher, student, removed === 1);
}
