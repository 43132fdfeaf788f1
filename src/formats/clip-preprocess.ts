/** From a picture to what CLIP's vision tower is fed, as preprocessor_config.json says (transformers' CLIPImageProcessor). */
import { FileError } from '../base/errors.js';
import { asImage, image, type Image } from '../datasets/image/picture.js';
import { resample, type Interpolation } from '../datasets/image/resample.js';
import type { HostTensor } from '../tensor/host.js';
import { ConfigReader, type Allowed, type RawConfig } from '../networks/component-config.js';

export interface ClipPreprocess {
  /** pixels of the shorter side (the aspect ratio stays), or [height, width] */
  readonly resize: number | readonly [number, number];
  readonly interpolation: Interpolation;
  /** side of the square cut from the centre, the model's picture size */
  readonly size: number;
  readonly rescale: number;
  /** per channel, of values after rescaling */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** OPENAI_CLIP_MEAN and OPENAI_CLIP_STD of transformers image_utils.py. */
const MEAN = [0.48145466, 0.4578275, 0.40821073],
  STD = [0.26862954, 0.26130258, 0.27577711];
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
 * @param imageSize of the vision tower's config.json, and the default of both sizes
 * @throws UserError naming the field that is unknown, not supported, or does not lead to pictures of `imageSize`
 */
export function parseClipPreprocess(raw: RawConfig, imageSize: number, where: string): ClipPreprocess {
  const read = new ConfigReader(raw, where);
  read.onlyAllow(ALLOWED);
  read.refuseUnknown([...READ, ...Object.keys(ALLOWED), ...HARMLESS]);
  const crop = raw['do_center_crop'] === false ? undefined : sizeOf(raw['crop_size'] ?? imageSize, 'crop_size', where);
  const resize = sizeOf(raw['size'] ?? imageSize, 'size', where);
  // A number for the crop is a square; for the resize it is the shorter side.
  const result = crop === undefined ? resize : typeof crop === 'number' ? ([crop, crop] as const) : crop;
  if (typeof result === 'number' || result.some((side) => side !== imageSize)) {
    throw new FileError(
      `${where}: gives pictures of ${JSON.stringify(result)} pixels, the model takes ${imageSize}x${imageSize}; set crop_size to ${imageSize}`,
    );
  }
  if (Math.min(...[resize].flat()) < imageSize)
    throw new FileError(
      `${where}: size = ${JSON.stringify(raw['size'])} is smaller than the crop of ${imageSize} pixels; set size to ${imageSize}`,
    );
  const filter = read.number('resample', 3);
  if (!FILTERS[filter])
    throw new FileError(
      `${where}: resample = ${filter} is not supported; supported: ${FILTERS.map((name, i) => `${i} (${name})`).join(', ')}`,
    );
  return {
    resize,
    interpolation: FILTERS[filter],
    size: imageSize,
    rescale: read.number('rescale_factor', 1 / 255),
    mean: perChannel(raw['image_mean'] ?? MEAN, 'image_mean', where),
    std: perChannel(raw['image_std'] ?? STD, 'image_std', where),
  };
}

/** The file that says what `preprocess` does. */
export const preprocessorConfig = ({ resize, interpolation, size, rescale, mean, std }: ClipPreprocess): RawConfig => ({
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
function fit(picture: Image, { resize, interpolation, size }: ClipPreprocess): Image {
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
export function preprocess(picture: HostTensor, settings: ClipPreprocess, into: Float32Array): void {
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
