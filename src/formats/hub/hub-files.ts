/** Which files of a hub repository are worth downloading. Pure: names in, names out. */
import { posix } from 'node:path';
import { isImageName } from '../../datasets/image/picture-format.js';
import { FileError } from '../../base/errors.js';
import { CHECKPOINTS } from '../single-file/open-checkpoint.js';
import { findWeights, STEMS, type FoundWeights } from '../open-weights.js';

/** The folders of a Stable Diffusion pipeline that are used; others (safety_checker, feature_extractor, ...) stay there. */
const COMPONENTS = new Set(['unet', 'vae', 'text_encoder', 'tokenizer', 'scheduler']);
const TEXTS = /\.(?:csv|tsv|jsonl|txt|caption)$/i,
  PARQUET = /\.parquet$/i,
  WEIGHTS = /\.(?:safetensors|bin)$/;

/**
 * For a pipeline (`model_index.json`): its configs and tokenizer, and per component one set of weights, safetensors
 * before `.bin`, plain before variants, unless a variant is asked for. For another repository the same of every folder.
 * @param repo its name, for errors
 * @throws UserError when there are no weights but checkpoints in one file
 */
export function modelFiles(paths: readonly string[], variant?: string, repo = 'the repository'): string[] {
  const isPipeline = paths.includes('model_index.json'),
    files = componentsOf(paths, isPipeline, variant);
  const checkpoints = paths.filter((path) => CHECKPOINTS.includes(posix.extname(path)));
  if (!isPipeline && checkpoints.length > 0 && !files.some((path) => WEIGHTS.test(path)))
    throw new FileError(
      `${repo}: on the hub it holds no pipeline folder but checkpoints in one file (${checkpoints.slice(0, 4).join(', ')}${checkpoints.length > 4 ? ', ...' : ''}); download one, and give its path`,
    );
  return files;
}

function componentsOf(paths: readonly string[], isPipeline: boolean, variant: string | undefined): string[] {
  const folders = new Map<string, string[]>();
  for (const path of paths) {
    const folder = path.slice(0, path.lastIndexOf('/') + 1);
    folders.set(folder, [...(folders.get(folder) ?? []), path]);
  }
  return [...folders]
    .flatMap(([folder, inside]) => {
      if (isPipeline && folder === '') return ['model_index.json'];
      if (isPipeline && !COMPONENTS.has(folder.slice(0, -1))) return [];
      return componentFiles(
        inside.map((path) => path.slice(folder.length)),
        variant,
      ).map((name) => folder + name);
    })
    .sort();
}

function componentFiles(names: readonly string[], variant: string | undefined): string[] {
  const configs = names.filter(
    (name) => /\.(?:json|txt|model)$/.test(name) && !/\.index(?:\.[\w-]+)?\.json$/.test(name) && !name.startsWith('.'),
  );
  const weights = STEMS.flatMap(
    (stem) => (variant === undefined ? undefined : findWeights(names, stem, variant)) ?? findWeights(names, stem) ?? [],
  ).flatMap((found) => weightFiles(names, found));
  return [...configs, ...new Set(weights)];
}

/** The file itself, or the index and its shards: `model-00001-of-00002.safetensors`, `model.fp16-00001-of-00002.safetensors`. */
function weightFiles(names: readonly string[], { name, format, variant }: FoundWeights): string[] {
  if (!name.endsWith('.json')) return [name];
  const stem = name.slice(0, name.indexOf(`.${format}.index`));
  const shards = names.filter(
    (n) =>
      n.startsWith(stem) &&
      n.endsWith(`.${format}`) &&
      n.slice(stem.length).replace(/-\d+-of-\d+/, '#') === shardMark(n, variant, format),
  );
  return [name, ...shards];
}

/** What is left of a shard's name without its stem and number: the variant may stand before or after the number. */
function shardMark(name: string, variant: string | undefined, format: string): string {
  if (variant === undefined) return `#.${format}`;
  return name.endsWith(`.${variant}.${format}`) ? `#.${variant}.${format}` : `.${variant}#.${format}`;
}

/** Pictures with their texts, in tables or beside them; the parquet files when there are no pictures. */
export function datasetFiles(paths: readonly string[]): string[] {
  const visible = paths.filter((path) => !/(^|\/)\./.test(path));
  const pictures = visible.filter((path) => isImageName(posix.basename(path)));
  const chosen = pictures.length > 0 ? pictures : visible.filter((path) => PARQUET.test(path));
  return [...chosen, ...visible.filter((path) => TEXTS.test(path))].sort();
}
