/** A vision transformer in transformers' format, opened and checked: ViTModel (DINO) or Dinov2Model. */
import { join, resolve } from 'node:path';
import type { Logger } from '../base/logger.js';
import { Scope } from '../networks/layers/scope.js';
import { recorded } from '../networks/record.js';
import { parseVitConfig, vit, type VitConfig } from '../networks/vit.js';
import { input } from '../tensor/tensor.js';
import { FrozenSource } from './frozen-source.js';
import { openWeights } from './open-weights.js';
import { readPreprocess, type PicturePreprocess } from './picture-preprocess.js';
import { readJson } from './read-json.js';

export interface VitFolder {
  readonly path: string;
  readonly config: VitConfig;
  readonly preprocess: PicturePreprocess;
  readonly source: FrozenSource;
}

/** Of training with masks, and heads: features do not pass them. */
const NOT_FEATURES =
  /^(?:(?:vit|dinov2)\.)?(?:embeddings\.mask_token|pooler\.dense\.(?:weight|bias)|classifier\.(?:weight|bias))$/;
/** What a model with a head calls the transformer. */
const PREFIX = /^(?:vit|dinov2)\./;

/**
 * Opens configs and weights, and checks every tensor's name and shape against config.json.
 * @throws UserError naming the file and what is wrong with it
 */
export async function openVit(folder: string, log?: Logger): Promise<VitFolder> {
  const path = resolve(folder),
    file = join(path, 'config.json');
  const config = parseVitConfig(await readJson(file, 'a vision transformer has one'), file),
    weights = await openWeights(path, 'model', { log });
  const prefix = [...weights.entries.keys()].map((name) => PREFIX.exec(name)?.[0]).find((found) => found !== undefined);
  const source = new FrozenSource(weights, (name) => (prefix === undefined ? undefined : prefix + name));
  const side = config.imageSize;
  source.check(
    recorded((s) => void vit(new Scope(s), input('pixels', [1, 3, side, side]), config)),
    NOT_FEATURES,
    log,
  );
  const preprocess =
    config.kind === 'vit'
      ? await readPreprocess(path, side, 'ViTImageProcessor')
      : await readPreprocess(path, undefined, 'BitImageProcessor');
  return { path, config, preprocess, source };
}
