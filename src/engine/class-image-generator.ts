/** Class pictures for DreamBooth's prior preservation, made by a model without its adapters. */
import type { Backend } from '../backends/backend.js';
import { Executor } from '../backends/executor.js';
import { ALONE, type Collectives } from '../collectives/collectives.js';
import type { ClassImageRequest } from '../datasets/dataset.js';
import { asImage } from '../datasets/image/picture-file.js';
import type { Model } from '../models/model.js';
import { drawTogether } from './draw-together.js';

interface Makers {
  readonly model: Model;
  readonly otherModel: (idOrPath: string) => Model | undefined;
  readonly backend: Backend;
  readonly signal: AbortSignal;
  readonly ranks?: Collectives;
}

/** All ranks draw their share, and all are given all pictures. Ends early, with fewer pictures, when the signal is aborted. */
export function classImageGenerator({ model: own, otherModel, backend, signal, ranks = ALONE }: Makers) {
  return async ({
    model: id,
    prompt,
    seeds,
    size,
    steps,
    guidance,
    rescale,
    scheduler,
    onStep,
    onImage,
  }: ClassImageRequest): Promise<void> => {
    const second = id === undefined ? undefined : otherModel(id);
    const model = second ? await ready(second, backend) : own;
    let index = 0;
    const request = {
      prompts: seeds.map(() => prompt),
      seeds,
      steps,
      guidance_scale: guidance,
      ...(rescale === undefined ? {} : { guidance_rescale: rescale }),
      ...(scheduler === undefined ? {} : { scheduler }),
      ...size,
      weights: 'base' as const,
      signal,
      ...(onStep && { onStep }),
    };
    for await (const picture of drawTogether((wanted) => model.sample(wanted), request, ranks))
      await onImage(index++, asImage(picture));
    if (second) await model.executor.dispose();
  };
}

/** For `DatasetServices.modelFingerprint`: which weights and noise schedule make the class pictures. */
export const classImageFingerprint =
  ({ model, otherModel }: Pick<Makers, 'model' | 'otherModel'>) =>
  (id: string | undefined): string =>
    id === undefined || otherModel(id) === undefined ? model.drawingFingerprint : `other model ${id}`;

/** Nothing of it is trained, so it has no parameters to bind. */
async function ready(model: Model, backend: Backend): Promise<Model> {
  await model.load();
  model.executor = new Executor(backend, (outputs) => [...outputs]);
  return model;
}
