/** The tensors of a weight file under other names; the bytes stay where they are. */
import { SafetensorsFile } from './safetensors/safetensors.js';
import type { TensorEntry, WeightFile } from './weight-file.js';

/** @param entries what the view has, in its order */
export function weightView(weights: WeightFile, entries: Iterable<TensorEntry>): WeightFile {
  return new SafetensorsFile(weights.files, new Map([...entries].map((e) => [e.name, e])), weights.metadata);
}

const TOKENS = 'embeddings.token_embedding.weight';

/**
 * transformers 5.6 and later save a CLIPTextModel without the level `text_model.` in its names (and read both). Here
 * every text encoder has it, as CLIPModel, CLIPTextModelWithProjection and all older files.
 */
export function withTextLevel(weights: WeightFile): WeightFile {
  if (!weights.entries.has(TOKENS)) return weights;
  const bare = /^(?:embeddings|encoder|final_layer_norm)\./;
  return weightView(
    weights,
    [...weights.entries.values()].map((e) => (bare.test(e.name) ? { ...e, name: `text_model.${e.name}` } : e)),
  );
}
