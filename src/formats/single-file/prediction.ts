/** Whether the U-Net of a checkpoint predicts v or noise: no shape says so. */
import { floats } from '../../tensor/host.js';
import { toFloat32 } from '../float-formats.js';
import type { TensorEntry, WeightFile } from '../weight-file.js';
import { isOpenClip } from './checkpoint-part.js';
import type { LdmYaml } from './ldm-yaml.js';
import { PREFIXES } from './ldm-names.js';
import { readEntry } from '../safetensors/safetensors.js';

/** Whose spread tells 2.x models apart (ComfyUI, supported_models.py, SD20). */
const TELLING = `${PREFIXES.unet}output_blocks.11.1.transformer_blocks.0.norm1.bias`;
const SPREAD = 0.09;

export async function predictsV(
  { metadata }: WeightFile,
  entries: ReadonlyMap<string, TensorEntry>,
  yaml: LdmYaml | undefined,
): Promise<{ v: boolean; why: string }> {
  if (yaml?.predictsV !== undefined) return { v: yaml.predictsV, why: 'parameterization of the .yaml beside it' };
  const named = metadata['modelspec.prediction_type'];
  if (named === 'v' || named === 'epsilon') return { v: named === 'v', why: 'modelspec.prediction_type' };
  if (entries.has('v_pred')) return { v: true, why: 'it has the key v_pred' };
  if (!isOpenClip(entries)) return { v: false, why: 'as Stable Diffusion 1.x' };
  const telling = entries.get(TELLING);
  if (!telling) return { v: true, why: 'as Stable Diffusion 2.1' };
  const values = floats(toFloat32(await readEntry(telling)));
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const spread = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
  return { v: spread > SPREAD, why: `by the spread of ${TELLING.slice(PREFIXES.unet.length)}, ${spread.toFixed(3)}` };
}
