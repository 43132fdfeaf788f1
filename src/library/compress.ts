import { requireNewFolder } from '../base/atomic-folder.js';
import { stopIfAborted } from '../base/errors.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openPipeline, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { BLOCK_REMOVALS, compressPipeline, type BlockRemoval } from '../models/block-removal.js';
import { recorded, recordUnet } from '../networks/record.js';
import { totalSizeOf } from '../tensor/host.js';
import { logOf, optionsOf, TEXT, type CallOptions } from './call-options.js';

export type { BlockRemoval } from '../models/block-removal.js';

export interface CompressOptions extends CallOptions {
  /** New folder for the pipeline. */
  readonly out: string;
  /** base and small: the layout of segmind/small-sd; bk_small: without its mid block; tiny: that of segmind/tiny-sd. Default 'small'. */
  readonly preset?: BlockRemoval | undefined;
}

export interface CompressResult {
  readonly out: string;
  /** what was removed, in words */
  readonly summary: string;
  /** numbers of parameters of the two U-Nets */
  readonly parameters: { readonly teacher: number; readonly student: number };
}

const check = optionsOf<CompressOptions>({ out: TEXT, preset: { enum: Object.keys(BLOCK_REMOVALS) } }, ['out']);

/**
 * Makes a smaller pipeline by removing blocks of the U-Net (Kim et al., arXiv 2305.15798); distillation then teaches it
 * what it lost.
 * @param teacher pipeline of SD 1.x or 2.x: a folder, or an id of the hub
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, OUTPUT_EXISTS, ...
 */
export async function compress(teacher: string, options: CompressOptions): Promise<CompressResult> {
  check('compress', options);
  const log = logOf(options),
    { out, preset = 'small', signal } = options;
  stopIfAborted(signal, 'compress');
  await requireNewFolder(out); // before long work
  const from = await openPipeline(await resolveModel(teacher, { log, signal }), log);
  await compressPipeline(from, preset, out, log);
  const student = await openPipeline(out, log); // every tensor is there and fits its config
  return {
    out,
    summary: BLOCK_REMOVALS[preset].summary,
    parameters: { teacher: parametersOf(from), student: parametersOf(student) },
  };
}

const parametersOf = ({ unetConfig }: PipelineFolder): number =>
  totalSizeOf(recorded((s) => recordUnet(s, unetConfig)));
