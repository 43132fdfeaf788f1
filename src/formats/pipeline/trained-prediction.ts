/** What a run trained its U-Net to predict, where it is not what its base's scheduler says (`model.prediction_type`). */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { configJson } from '../config-json.js';
import { readJson } from '../read-json.js';

/** @param path checkpoint of a run; adapters from elsewhere do not tell */
export async function trainedPrediction(path: string): Promise<string | undefined> {
  const file = join(path, 'run.json');
  if (!existsSync(file)) return undefined;
  const { config } = (await readJson(file, 'a checkpoint has one')) as {
    config?: { model?: { prediction_type?: unknown } };
  };
  const kind = config?.model?.prediction_type;
  return typeof kind === 'string' ? kind : undefined;
}

/** Has a copied `scheduler/` say so. */
export async function sayPrediction(schedulerFolder: string, prediction: string): Promise<void> {
  const file = join(schedulerFolder, 'scheduler_config.json');
  const config = await readJson(file, 'a pipeline has one');
  await writeFileAtomic(file, configJson({ ...config, prediction_type: prediction }));
}
