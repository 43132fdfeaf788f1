/** A small residual network that says what a picture shows: its configuration, its graph, and what it starts from. */
import { UserError } from '../base/errors.js';
import type { Rng } from '../base/rng.js';
import { float32, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { mean, silu } from '../tensor/ops.js';
import { input, type Tensor } from '../tensor/tensor.js';
import { type Attributes, checkAttributes } from './classifier-labels.js';
import { ConfigReader, type RawConfig } from './component-config.js';
import { conv2d } from './layers/conv.js';
import { linear } from './layers/linear.js';
import { groupNorm } from './layers/norm.js';
import { resnet } from './layers/resnet.js';
import { Scope } from './layers/scope.js';
import { recorded } from './record.js';

/** Wu and He, arXiv 1803.08494, found 8 to 32 groups about equal. Widths are multiples of it. */
const GROUPS = 8;
const EPS = 1e-5;

export interface ClassifierConfig {
  readonly attributes: Attributes;
  /** width of each stage; each halves the sides of the picture */
  readonly channels: readonly number[];
  /** pixels of either side */
  readonly imageSize: number;
}

/** @param where for errors @throws UserError when it describes no such network */
export function checkClassifier({ attributes, channels }: ClassifierConfig, where: string): void {
  checkAttributes(attributes, `${where}.attributes`);
  const odd = channels.find((width) => width % GROUPS !== 0);
  if (odd !== undefined)
    throw new UserError(
      `${where}.channels: ${odd} is not a multiple of ${GROUPS}, the groups of the group norms; take ${Math.ceil(odd / GROUPS) * GROUPS}`,
    );
}

/** config.json of a trained classifier. */
export const classifierJson = ({ attributes, channels, imageSize }: ClassifierConfig): RawConfig => ({
  _class_name: 'ImageClassifier',
  attributes,
  channels,
  image_size: imageSize,
});

/** @param where the file, for errors @throws UserError for a field that is missing, wrong or unknown */
export function parseClassifier(raw: RawConfig, where: string): ClassifierConfig {
  const reader = new ConfigReader(raw, where);
  reader.onlyAllow({ _class_name: ['ImageClassifier'] });
  reader.refuseUnknown(['attributes', 'channels', 'image_size']);
  for (const key of ['attributes', 'channels', 'image_size'])
    if (raw[key] === undefined) throw new UserError(`${where}: no "${key}"; a trained ImageClassifier has one`);
  const config = {
    attributes: raw['attributes'] as Attributes,
    channels: reader.counts('channels', []),
    imageSize: reader.count('image_size', 1),
  };
  checkClassifier(config, where);
  return config;
}

/** @param images [B, 3, H, W] in [-1, 1] @returns per attribute its logits [B, phrases] */
export function classifierLogits(
  scope: Scope,
  images: Tensor,
  { attributes, channels }: ClassifierConfig,
): Record<string, Tensor> {
  let x = images;
  channels.forEach((width, i) => {
    const stage = scope.child('stages', i);
    x = conv2d(stage.child('conv'), x, width, { stride: 2 });
    x = resnet(stage.child('resnet'), x, undefined, width, GROUPS, EPS);
  });
  const features = mean(silu(groupNorm(scope.child('norm'), x, GROUPS, EPS)), [2, 3]); // [B, width]
  return Object.fromEntries(
    Object.entries(attributes).map(([name, phrases]) => [
      name,
      linear(scope.child('heads', name), features, phrases.length),
    ]),
  );
}

/** Names and shapes of all parameters. */
export const classifierShapes = (config: ClassifierConfig): ReadonlyMap<string, Shape> =>
  recorded(
    (source) =>
      void classifierLogits(new Scope(source), input('images', [1, 3, config.imageSize, config.imageSize]), config),
  );

/**
 * Normal with deviation sqrt(2 / fan in) (He et al., arXiv 1502.01852), norms 1 and biases 0; heads 0, so that all phrases
 * are equally probable at first.
 * @returns by parameter name; each depends on (seed, name) only
 */
export function classifierStart(shapes: ReadonlyMap<string, Shape>, rng: Rng): Record<string, HostTensor> {
  return Object.fromEntries(
    [...shapes].map(([name, shape]) => {
      const size = sizeOf(shape),
        isMatrix = shape.length > 1 && !name.startsWith('heads.');
      if (!isMatrix) return [name, float32(new Float32Array(size).fill(/norm\d?\.weight$/.test(name) ? 1 : 0), shape)];
      const deviation = Math.sqrt(2 / (size / shape[0]));
      return [
        name,
        float32(
          rng
            .stream(`init ${name}`)
            .normals(size)
            .map((v) => v * deviation),
          shape,
        ),
      ];
    }),
  );
}
