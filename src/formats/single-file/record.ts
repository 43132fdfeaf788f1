/** What diffengine writes into the metadata of a checkpoint, so that it opens again as exactly the same pipeline. */
import type { RawConfig } from '../../networks/component-config.js';
import type { ClipKind } from './clip-vocabulary.js';

/** Key in the metadata of the safetensors file; other tools pass over it. */
export const RECORD = 'diffengine.pipeline';

export interface CheckpointRecord {
  readonly unet: RawConfig;
  readonly vae: RawConfig;
  readonly text_encoder: RawConfig;
  readonly scheduler: RawConfig;
  /** CLIP's own, padded with its end token or with "!"; else the files as text */
  readonly tokenizer: ClipKind | Readonly<Record<string, string>>;
}
