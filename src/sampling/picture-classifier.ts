/** A trained classifier, opened to judge pictures. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backend, Executable } from '../backends/backend.js';
import { compileFinite } from '../backends/finite.js';
import { UserError } from '../base/errors.js';
import { asImage, type Image } from '../datasets/image/picture.js';
import { resample } from '../datasets/image/resample.js';
import type { Logger } from '../base/logger.js';
import { floats, float32, type HostTensor } from '../tensor/host.js';
import { softmax } from '../tensor/ops.js';
import { input } from '../tensor/tensor.js';
import type { Attributes } from '../networks/classifier-labels.js';
import { classifierLogits, classifierShapes, parseClassifier, type ClassifierConfig } from '../networks/classifier.js';
import { FrozenSource } from '../formats/frozen-source.js';
import { Scope } from '../networks/layers/scope.js';
import { fingerprint } from '../formats/fingerprint.js';
import { readJson } from '../formats/read-json.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openWeights } from '../formats/open-weights.js';

/** Pictures per run. */
const BATCH = 32;

/** Per attribute, the probability of each of its phrases, in their order. */
export type Probabilities = Readonly<Record<string, Float32Array>>;

/**
 * @param idOrPath folder with config.json and model.safetensors, or one that has them in `classifier/`; or an id of the hub
 * @throws UserError naming the file and what is wrong with it
 */
export async function openClassifier(idOrPath: string, backend: Backend, log?: Logger): Promise<PictureClassifier> {
  const outer = await resolveModel(idOrPath, { log }),
    inner = join(outer, 'classifier');
  const path = await access(join(inner, 'config.json')).then(
      () => inner,
      () => outer,
    ),
    file = join(path, 'config.json');
  const config = parseClassifier(
    await readJson(file, 'a trained ImageClassifier has one (classifier/config.json)'),
    file,
  );
  const source = new FrozenSource(await openWeights(path, 'model', { log }));
  source.check(classifierShapes(config), /^\b$/);
  return new PictureClassifier(config, source, backend, await fingerprint(source.weights));
}

export class PictureClassifier {
  private program: Promise<Executable> | undefined;

  constructor(
    private readonly config: ClassifierConfig,
    private readonly source: FrozenSource,
    private readonly backend: Backend,
    /** Identifies the weights. */ readonly fingerprint: string,
  ) {}

  /** What it tells apart. */
  get attributes(): Attributes {
    return this.config.attributes;
  }

  /**
   * Pictures of another size are resampled.
   * @param pictures uint8 [H, W, 3], square @throws UserError when one is not
   */
  async classify(pictures: readonly HostTensor[]): Promise<Probabilities[]> {
    const side = this.config.imageSize,
      size = 3 * side * side,
      results: Probabilities[] = [];
    for (let at = 0; at < pictures.length; at += BATCH) {
      const batch = pictures.slice(at, at + BATCH),
        pixels = new Float32Array(BATCH * size); // what is left of a last batch stays 0
      batch.forEach((picture, i) => toPlanes(this.fitted(asImage(picture)), pixels.subarray(i * size, (i + 1) * size)));
      const out = await (await this.compiled()).run({ images: float32(pixels, [BATCH, 3, side, side]) });
      batch.forEach((_, i) =>
        results.push(
          Object.fromEntries(
            Object.entries(this.attributes).map(([name, { length }]) => [
              name,
              floats(out[name]).slice(i * length, (i + 1) * length),
            ]),
          ),
        ),
      );
    }
    return results;
  }

  /** Frees the program; the backend stays. */
  async dispose(): Promise<void> {
    await (await this.program)?.dispose();
    this.program = undefined;
  }

  private fitted(picture: Image): Image {
    const [H, W] = picture.shape,
      side = this.config.imageSize;
    if (H !== W)
      throw new UserError(`classifier: a picture of ${W}x${H} pixels; it takes squares, such as ${side}x${side}`);
    return resample(picture, side, side, 'bilinear');
  }

  private compiled(): Promise<Executable> {
    const side = this.config.imageSize;
    return (this.program ??= compileFinite(this.backend, {
      name: 'classify',
      outputs: Object.fromEntries(
        Object.entries(
          classifierLogits(new Scope(this.source), input('images', [BATCH, 3, side, side]), this.config),
        ).map(([name, logits]) => [name, softmax(logits)]),
      ),
    }));
  }
}

/** From interleaved bytes to planes in [-1, 1]: [3, H, W], as training pictures are. */
function toPlanes({ data }: Image, into: Float32Array): void {
  const area = data.length / 3;
  for (let i = 0; i < area; i++) for (let c = 0; c < 3; c++) into[c * area + i] = data[3 * i + c] / 127.5 - 1;
}

/** The most probable phrase of an attribute. */
export function mostProbable(phrases: readonly string[], probabilities: Float32Array): string {
  return phrases[probabilities.reduce((best, p, i) => (p > probabilities[best] ? i : best), 0)];
}
