/** What a run trained its U-Net to predict, where it is not what its base's scheduler says (`model.prediction_type`). */
import { join } from 'node:path';
import { writeFileAtomic } from '../../base/atomic-file.js';
import { configJson } from '../config-json.js';
import { readJson } from '../read-json.js';
import { recordedRun } from '../run-record.js';

/** @param path checkpoint of a run; adapters from elsewhere do not tell */
export async function trainedPrediction(path: string): Promise<string | undefined> {
  const kind = (await recordedRun(path)).model['prediction_type'];
  return typeof kind === 'string' ? kind : undefined;
}

/** Has a copied `scheduler/` say so. */
export async function sayPrediction(schedulerFolder: string, prediction: string): Promise<void> {
  const file = join(schedulerFolder, 'scheduler_config.json');
  const config = await readJson(file, 'a pipeline has one');
  await writeFileAtomic(file, configJson({ ...config, prediction_type: prediction }));
}
