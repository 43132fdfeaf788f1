/**
 * From a picture to what a vision transformer is fed, as preprocessor_config.json says (transformers' CLIPImageProcessor,
 * ViTImageProcessor, BitImageProcessor).
 */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../base/errors.js';
import { asImage, image, type Image } from '../datasets/image/picture.js';
import { resample, type Interpolation } from '../datasets/image/resample.js';
import type { HostTensor } from '../tensor/host.js';
import { readJson } from './read-json.js';
import { ConfigReader, type Allowed, type RawConfig } from '../networks/component-config.js';

export interface PicturePreprocess {
  /** pixels of the shorter side (the aspect ratio stays), or [height, width] */
  readonly resize: number | readonly [number, number];
  readonly interpolation: Interpolation;
  /** side of the square that comes out: cut from the centre, or what the picture is resized to */
  readonly size: number;
  readonly rescale: number;
  /** per channel, of values after rescaling */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** What a processor does where its file is silent. */
interface Defaults {
  readonly crop: boolean;
  readonly resample: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** a size that is one number is both sides, not the shorter one */
  readonly square: boolean;
  /** pixels */
  readonly size: number;
}

/** OPENAI_CLIP_MEAN and OPENAI_CLIP_STD of transformers image_utils.py. */
const CLIP: Defaults = {
  crop: true,
  resample: 3,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  square: false,
  size: 224,
};
const HALF = [0.5, 0.5, 0.5];
/** By the end of the processor's class name, before `Fast` or `Pil`. */
const PROCESSORS: Readonly<Record<string, Defaults>> = {
  CLIPImageProcessor: CLIP,
  CLIPFeatureExtractor: CLIP,
  BitImageProcessor: CLIP,
  ViTImageProcessor: { crop: false, resample: 2, mean: HALF, std: HALF, square: true, size: 224 },
  ViTFeatureExtractor: { crop: false, resample: 2, mean: HALF, std: HALF, square: true, size: 224 },
};

/** PIL.Image.Resampling */
const FILTERS: readonly Interpolation[] = ['nearest', 'lanczos', 'bilinear', 'bicubic'];
const READ = ['size', 'crop_size', 'resample', 'rescale_factor', 'image_mean', 'image_std'];
const ALLOWED: Allowed = {
  do_resize: [true],
  do_center_crop: [true, false],
  do_rescale: [true],
  do_normalize: [true],
  do_convert_rgb: [true, false, null],
  do_pad: [false, null],
};
const HARMLESS = [
  'feature_extractor_type',
  'image_processor_type',
  'processor_class',
  'default_to_square',
  'data_format',
  'input_data_format',
  'device',
  'return_tensors',
  'disable_grouping',
  'pad_size',
  'size_divisor',
  'image_seq_length',
];

/**
 * @param imageSize what the model takes, and the default of the sizes; undefined: the model takes any square
 * @param fallback the processor where the file names none
 * @throws UserError naming the field that is unknown, not supported, or does not lead to pictures of `imageSize`
 */
export function parsePreprocess(
  raw: RawConfig,
  imageSize: number | undefined,
  where: string,
  fallback: keyof typeof PROCESSORS = 'CLIPImageProcessor',
): PicturePreprocess {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const named = raw['image_processor_type'] ?? raw['feature_extractor_type'] ?? fallback,
    defaults = PROCESSORS[String(named).replace(/(?:Fast|Pil)$/, '')];
  if (defaults === undefined)
    throw new FileError(
      `${where}: image_processor_type = ${JSON.stringify(named)} is not supported; supported: ${Object.keys(PROCESSORS).join(', ')}`,
    );
  const standard = imageSize ?? defaults.size,
    crops = typeof raw['do_center_crop'] === 'boolean' ? raw['do_center_crop'] : defaults.crop;
  const square = (side: number | readonly [number, number]): readonly [number, number] =>
    typeof side === 'number' ? [side, side] : side;
  const crop = crops ? square(sizeOf(raw['crop_size'] ?? standard, 'crop_size', where)) : undefined;
  const size = sizeOf(raw['size'] ?? standard, 'size', where),
    resize = defaults.square && typeof (raw['size'] ?? standard) === 'number' ? square(size) : size;
  const result = crop ?? resize,
    side = typeof result === 'number' ? undefined : result[0];
  if (typeof result === 'number' || side === undefined || result[1] !== side || (imageSize ?? side) !== side)
    throw new FileError(
      `${where}: gives pictures of ${JSON.stringify(result)} pixels, the model takes ${imageSize === undefined ? 'squares' : `${imageSize}x${imageSize}`}; set crop_size to ${standard}`,
    );
  if (Math.min(...[resize].flat()) < side)
    throw new FileError(
      `${where}: size = ${JSON.stringify(raw['size'])} is smaller than the crop of ${side} pixels; set size to ${side}`,
    );
  const filter = read.number('resample', defaults.resample);
  if (!FILTERS[filter])
    throw new FileError(
      `${where}: resample = ${filter} is not supported; supported: ${FILTERS.map((name, i) => `${i} (${name})`).join(', ')}`,
    );
  return {
    resize,
    interpolation: FILTERS[filter],
    size: side,
    rescale: read.number('rescale_factor', 1 / 255),
    mean: perChannel(raw['image_mean'] ?? defaults.mean, 'image_mean', where),
    std: perChannel(raw['image_std'] ?? defaults.std, 'image_std', where),
  };
}

/** As `parsePreprocess`, from the folder's preprocessor_config.json; without one, what transformers does by default. */
export async function readPreprocess(
  folder: string,
  imageSize: number | undefined,
  fallback?: keyof typeof PROCESSORS,
): Promise<PicturePreprocess> {
  const file = join(folder, 'preprocessor_config.json');
  const given = await access(file).then(
    () => true,
    () => false,
  );
  return parsePreprocess(given ? await readJson(file, '') : {}, imageSize, file, fallback);
}

/** The file that says what `preprocess` does. */
export const preprocessorConfig = ({
  resize,
  interpolation,
  size,
  rescale,
  mean,
  std,
}: PicturePreprocess): RawConfig => ({
  image_processor_type: 'CLIPImageProcessor',
  do_convert_rgb: true,
  do_resize: true,
  size: typeof resize === 'number' ? { shortest_edge: resize } : { height: resize[0], width: resize[1] },
  resample: FILTERS.indexOf(interpolation),
  do_center_crop: true,
  crop_size: { height: size, width: size },
  do_rescale: true,
  rescale_factor: rescale,
  do_normalize: true,
  image_mean: mean,
  image_std: std,
});

/** Resized and cut: picture uint8 [H, W, 3] -> uint8 [size, size, 3]. */
function fit(picture: Image, { resize, interpolation, size }: PicturePreprocess): Image {
  const [height, width] = picture.shape;
  const [h, w] =
    typeof resize !== 'number'
      ? resize
      : height < width
        ? [resize, Math.trunc((resize * width) / height)]
        : [Math.trunc((resize * height) / width), resize];
  const resized = resample(picture, h, w, interpolation);
  if (h === size && w === size) return resized;
  const top = Math.floor((h - size) / 2),
    left = Math.floor((w - size) / 2);
  const out = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++)
    out.set(resized.data.subarray(((top + y) * w + left) * 3, ((top + y) * w + left + size) * 3), y * size * 3);
  return image(out, size, size);
}

/**
 * Writes one picture as the model's input.
 * @param picture uint8 [H, W, 3] @param into [3, size, size]
 */
export function preprocess(picture: HostTensor, settings: PicturePreprocess, into: Float32Array): void {
  const { data } = fit(asImage(picture), settings),
    { size, rescale, mean, std } = settings,
    pixels = size * size;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < pixels; i++) into[c * pixels + i] = (data[i * 3 + c] * rescale - mean[c]) / std[c];
  }
}

/** A size as files write it: 224, `{ shortest_edge: 224 }` or `{ height: 224, width: 224 }`. */
function sizeOf(value: unknown, key: string, where: string): number | readonly [number, number] {
  const {
    shortest_edge: edge,
    height,
    width,
  } = typeof value === 'number' ? ({ shortest_edge: value } as RawConfig) : ((value ?? {}) as RawConfig);
  const isSide = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) > 0;
  if (isSide(edge) && height === undefined && width === undefined) return edge;
  if (isSide(height) && isSide(width) && edge === undefined) return [height, width];
  throw new FileError(
    `${where}: ${key} = ${JSON.stringify(value)} is not supported; it must be a number of pixels, {"shortest_edge": n} or {"height": n, "width": n}`,
  );
}

function perChannel(value: unknown, key: string, where: string): readonly number[] {
  if (
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((v) => typeof v === 'number' && (key === 'image_mean' || v > 0))
  )
    return value as number[];
  throw new FileError(
    `${where}: ${key} = ${JSON.stringify(value)} is not supported; it must be three numbers${key === 'image_mean' ? '' : ' above 0'}`,
  );
}
