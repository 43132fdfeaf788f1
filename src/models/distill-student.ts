/** The U-Net that is trained to imitate: made from the teacher by block removal, or taken from another pipeline. */
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Shape } from '../tensor/host.js';
import { studentConfig, studentWeights, type BlockRemoval } from './block-removal.js';
import type { RawConfig } from '../networks/component-config.js';
import { FrozenSource } from '../formats/frozen-source.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordUnet } from '../networks/record.js';
import { type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { parseUNetConfig, type UNetConfig } from '../networks/unet-config.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openWeights } from '../formats/open-weights.js';

export interface Student {
  readonly config: UNetConfig;
  /** of its config.json */
  readonly raw: RawConfig;
  readonly shapes: ReadonlyMap<string, Shape>;
  /** its start: the teacher's weights under the student's names, or those of its folder */
  readonly source: FrozenSource;
}

/** The teacher with blocks removed; its weights stay where they are. @throws UserError when it is not of SD 1.x or 2.x */
export async function removeBlocks(teacher: PipelineFolder, removal: BlockRemoval): Promise<Student> {
  const file = join(teacher.path, 'unet', 'config.json');
  const raw = studentConfig(await readJson(file, 'every component has one'), removal, file);
  return checked(raw, file, new FrozenSource(studentWeights(teacher.unet.weights, removal)));
}

/**
 * The `unet` of a pipeline, or of a checkpoint of an earlier distillation.
 * @param model folder, or id of the hub
 * @throws UserError when its inputs and outputs are not those of the teacher
 */
export async function openStudent(model: string, teacher: PipelineFolder, log: Logger): Promise<Student> {
  const folder = join(await resolveModel(model, { log }), 'unet'),
    file = join(folder, 'config.json');
  const student = checked(
    await readJson(file, 'every component has one'),
    file,
    new FrozenSource(await openWeights(folder, 'diffusion_pytorch_model', { log })),
    log,
  );
  for (const key of ['inChannels', 'outChannels', 'crossAttentionDim'] as const) {
    const [own, others] = [student.config[key], teacher.unetConfig[key]];
    if (own !== others)
      throw new UserError(
        `${file}: ${FIELDS[key]} is ${own}, the teacher's is ${others}; both see the same latents and texts, so they must be equal`,
      );
  }
  return student;
}

const FIELDS = {
  inChannels: 'in_channels',
  outChannels: 'out_channels',
  crossAttentionDim: 'cross_attention_dim',
} as const;

function checked(raw: RawConfig, file: string, source: FrozenSource, log?: Logger): Student {
  const config = parseUNetConfig(raw, file),
    shapes = recorded((s) => recordUnet(s, config));
  source.check(shapes, /^\b$/, log);
  return { config, raw, shapes, source };
}
