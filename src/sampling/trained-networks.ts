/** The networks of a pipeline with what was trained on them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadAdapter } from '../adapters/load-adapter.js';
import { adaptedSource, type AdapterValues } from '../adapters/network-adapter.js';
import { UserError } from '../base/errors.js';
import { FrozenSource } from '../formats/frozen-source.js';
import { openWeights } from '../formats/open-weights.js';
import { pipelineFingerprint, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { trainedPrediction } from '../formats/pipeline/trained-prediction.js';
import { readJson } from '../formats/read-json.js';
import type { ParamSource } from '../networks/layers/scope.js';
import { recorded, recordText, recordUnet } from '../networks/record.js';
import { parseUNetConfig, type UNetConfig } from '../networks/unet-config.js';

export interface Trained {
  /** checkpoint, adapter folder or file, as `loadAdapter` takes it */
  readonly path: string;
  /** multiplies the adapter; 1 as trained */
  readonly scale: number;
}

/** A network's weights, and adapters that add up on them. */
export interface TrainedNetwork {
  readonly frozen: FrozenSource;
  readonly adapters: readonly { readonly values: AdapterValues; readonly scale: number }[];
}

export interface TrainedNetworks {
  readonly unet: TrainedNetwork;
  readonly text: TrainedNetwork;
  readonly unetConfig: UNetConfig;
  /** what the U-Net was trained to predict, where that is not what the pipeline's scheduler says */
  readonly prediction: string | undefined;
}

/** Parameters of a network to draw with. */
export const sourceOf = ({ frozen, adapters }: TrainedNetwork): ParamSource =>
  adapters.reduce<ParamSource>((source, { values, scale }) => adaptedSource(source, values, scale), frozen);

/** Folders of the networks, and what draws with them. */
const PARTS = [
  ['unet', 'unet'],
  ['text_encoder', 'text'],
] as const;

/**
 * Whole networks take the place of the pipeline's own; adapters of a network add up.
 * @param model how the pipeline's user calls it @param trained in this order
 * @throws UserError when something trained is for another pipeline
 */
export async function trainedNetworks(
  folder: PipelineFolder,
  model: string,
  trained: readonly Trained[],
): Promise<TrainedNetworks> {
  let networks: TrainedNetworks = {
    unet: { frozen: folder.unet, adapters: [] },
    text: { frozen: folder.text, adapters: [] },
    unetConfig: folder.unetConfig,
    prediction: undefined,
  };
  if (trained.length === 0) return networks;
  const fingerprint = await pipelineFingerprint(folder);
  for (const { path, scale } of trained) {
    // A distilled student has fewer blocks than the pipeline it was made of.
    const ownConfig = join(path, 'unet', 'config.json');
    const unetConfig = existsSync(ownConfig)
      ? parseUNetConfig(await readJson(ownConfig, 'every component has one'), ownConfig)
      : networks.unetConfig;
    const shapes = {
      unet: recorded((s) => recordUnet(s, unetConfig)),
      text_encoder: recorded((s) => recordText(s, folder.textConfig)),
    };
    const whole = {
      unet: await wholePart(join(path, 'unet'), 'diffusion_pytorch_model', shapes.unet),
      text_encoder: await wholePart(join(path, 'text_encoder'), 'model', shapes.text_encoder),
    };
    networks = { ...networks, unetConfig, prediction: (await trainedPrediction(path)) ?? networks.prediction };
    for (const [part, key] of PARTS) {
      const frozen = whole[part];
      if (!frozen) continue;
      if (networks[key].frozen !== folder[key] || networks[key].adapters.length > 0)
        throw new UserError(
          `${join(path, part)}: all of this network was trained, and it would replace what was loaded before; load it first, and adapters after it`,
          { code: 'MODEL_MISMATCH' },
        );
      networks = { ...networks, [key]: { frozen, adapters: [] } };
    }
    // Either network may have been trained whole, the other by an adapter.
    const hasAdapter = PARTS.some(([part]) => existsSync(join(path, part, 'adapter_config.json')));
    if ((whole.unet ?? whole.text_encoder) && !hasAdapter) continue;
    const found = await loadAdapter(path, shapes, { model, fingerprint });
    for (const [part, key] of PARTS) {
      const values = found[part],
        { frozen, adapters } = networks[key];
      if (values && !whole[part])
        networks = { ...networks, [key]: { frozen, adapters: [...adapters, { values, scale }] } };
    }
  }
  return networks;
}

/** A network that was trained whole, in place of the pipeline's own. */
async function wholePart(
  folder: string,
  stem: string,
  shapes: ReturnType<typeof recorded>,
): Promise<FrozenSource | undefined> {
  if (!existsSync(join(folder, `${stem}.safetensors`))) return undefined;
  const source = new FrozenSource(await openWeights(folder, stem));
  source.check(shapes, /^$/);
  return source;
}
