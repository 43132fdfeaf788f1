/** Asks the models of a run, before they are read, whether they can draw what the run will ask of them. */
import type { Model } from '../models/model.js';
import type { Drawing } from '../sampling/check-drawings.js';
import type { DataLoader } from '../datasets/loader.js';

const DATASET = 'train_dataloader.dataset';

/** @throws UserError naming the option or the file to mend */
export async function checkAllDrawings({
  model,
  loader,
  otherModel,
  drawings = [],
}: {
  readonly model: Model;
  readonly loader: DataLoader;
  readonly otherModel: (idOrPath: string) => Model | undefined;
  readonly drawings?: readonly Drawing[];
}): Promise<void> {
  const asked = loader.dataset.classDrawing?.();
  const classes: Drawing[] = asked
    ? [
        {
          scheduler: asked.scheduler,
          steps: asked.steps,
          keys: { scheduler: `${DATASET}.${asked.keys.scheduler}`, steps: `${DATASET}.${asked.keys.steps}` },
        },
      ]
    : [];
  const other: Model | undefined = asked?.model === undefined ? undefined : otherModel(asked.model);
  await model.check(other ? drawings : [...classes, ...drawings]);
  await other?.check(classes);
}
