/** Compares this implementation with a folder of reference numbers; the folder's own index says what there is. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../../src/backends/backend.js';
import { UserError } from '../../src/base/errors.js';
import { checkAdapter } from './adapters.js';
import { AbsentError, Golden } from './context.js';
import { checkTextEncoder, checkTimestepEmbedding, checkTokenizer, checkUnet, checkVae } from './networks.js';
import { checkAdapters, checkBlockRemoval, checkPipeline, checkTorchBin } from './pipelines.js';
import { Report } from './report.js';
import { checkLossWeights, checkSchedule } from './schedules.js';
import { checkSdxlText } from './sdxl-text.js';
import { checkSingleFiles } from './single-files.js';
import { checkStableDiffusion2 } from './sd2.js';
import { checkVit } from './vit.js';
import { checkTrajectories } from './trajectories.js';
import { checkDistillation } from './distillation.js';
import { checkLoraGradients, checkLoraTraining, checkTextLoraGradients } from './training.js';

type Check = (golden: Golden, file: string, kind: string) => Promise<void>;

/** By file name; the bracket is the U-Net layout. The first that fits is taken. */
const CHECKS: readonly (readonly [RegExp, Check])[] = [
  [/^tokenizer\.json$/, checkTokenizer],
  [/^text_encoder\./, checkTextEncoder],
  [/^vae\./, checkVae],
  [/^unet_(\w+)\.safetensors$/, checkUnet],
  [/^timestep_embedding\./, checkTimestepEmbedding],
  [/^scheduler_basics\./, checkSchedule],
  [/^(?:scheduler_trajectories|samplers)\./, checkTrajectories],
  [/^(sd2)\./, checkStableDiffusion2],
  [/^sdxl\./, checkSdxlText],
  [/^dino\./, checkVit],
  [/^min_snr\./, checkLossWeights],
  [/^pipeline\./, checkPipeline],
  [/^adapters\./, checkAdapters],
  [/^adapter_(\w+)\.safetensors$/, checkAdapter],
  [/^lora_grads_text_encoder/, checkTextLoraGradients],
  [/^lora_grads_(\w+?)_r\d+/, checkLoraGradients],
  [/^lora_train_(\w+?)_r\d+/, checkLoraTraining],
  [/^distill\./, checkDistillation],
];

/** Files about networks that diffengine does not have. */
const NOT_OURS: readonly (readonly [RegExp, string])[] = [
  [/^sdxl_pipeline\./, 'diffengine has no Stable Diffusion XL'],
];

/** What lies beside `reference/`. */
const EXTRAS: readonly (readonly [string, (golden: Golden) => Promise<void>])[] = [
  ['block_removal.json', checkBlockRemoval],
  [join('pytorch-bin', 'expected.safetensors'), checkTorchBin],
  ['single-file', checkSingleFiles],
];

/**
 * @param folder laid out as `reference/index.json` describes @param fallback where to look for components it lacks
 * Files whose model is nowhere are skipped, and named.
 * @throws UserError when the folder has no index, or there are several models where one is needed
 */
export async function verify(
  folder: string,
  fallback: string | undefined,
  backend: Backend,
  onFile: (file: string) => void = () => {},
): Promise<Report> {
  if (!existsSync(join(folder, 'reference', 'index.json')))
    throw new UserError(`${folder}: no reference/index.json; give a folder of reference numbers`);
  const report = new Report(),
    golden = new Golden(folder, fallback, backend, report);
  for (const file of Object.keys(golden.index)) {
    onFile(file);
    report.about(file);
    const found = CHECKS.find(([pattern]) => pattern.test(file));
    const reason = NOT_OURS.find(([pattern]) => pattern.test(file))?.[1];
    if (reason !== undefined) report.skip(`whole file: ${reason}`);
    else if (!found) report.missing('whole file');
    else if (await checked(report, () => found[1](golden, file, found[0].exec(file)?.[1] ?? 'base')))
      golden.skipped(file).forEach((tensor) => report.skip(tensor));
  }
  for (const [file, check] of EXTRAS) {
    if (!existsSync(join(folder, file))) continue;
    onFile(file);
    report.about(file);
    await checked(report, () => check(golden));
  }
  return report;
}

/** @returns false where the model that a check needs is nowhere: the file is left out, and the report says so */
async function checked(report: Report, check: () => Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (error) {
    if (!(error instanceof AbsentError)) throw error;
    report.skip(`whole file: ${error.message}`);
    return false;
  }
}
