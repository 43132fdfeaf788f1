/** Pictures from a pipeline, as it is or with what a run trained. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Backend } from '../backends/backend.js';
import { Executor } from '../backends/executor.js';
import { checkDrawings, readSchedulerConfig, type Drawing } from './check-drawings.js';
import { DiffusionPipeline } from './diffusion-pipeline.js';
import { FrozenSource } from '../formats/frozen-source.js';
import type { ParamSource } from '../networks/layers/scope.js';
import { loadAdapter } from '../adapters/load-adapter.js';
import { adaptedSource, type AdapterValues } from '../adapters/network-adapter.js';
import type { SampleRequest } from './sample-request.js';
import { openPipeline, pipelineFingerprint, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordText, recordUnet } from '../networks/record.js';
import { parseUNetConfig, type UNetConfig } from '../networks/unet-config.js';
import { resolveModel } from '../formats/hub/hub.js';
import { openWeights } from '../formats/open-weights.js';
import type { Logger } from '../base/logger.js';
import type { HostTensor } from '../tensor/host.js';

export interface Trained {
  /** checkpoint, adapter folder or file, as `loadAdapter` takes it */
  readonly path: string;
  /** multiplies the adapter; 1 as trained */
  readonly scale: number;
}

/** Renders; opens models once for all prompts. */
export class Renderer {
  private constructor(
    readonly pipeline: DiffusionPipeline,
    readonly executor: Executor,
    private readonly folder: PipelineFolder,
  ) {}

  /**
   * @param model pipeline folder or hub id @param drawing what it will be asked, so that what cannot be drawn is told before the weights are read
   * @throws UserError when the model is incomplete, or the adapter is for another one
   */
  static async open(
    model: string,
    trained: Trained | undefined,
    backend: Backend,
    log: Logger,
    drawing?: Drawing,
  ): Promise<Renderer> {
    const path = await resolveModel(model, { log });
    if (drawing) checkDrawings(path, await readSchedulerConfig(path), [drawing], log);
    const folder = await openPipeline(path, log);
    const { unet, text, unetConfig } = trained ? await trainedSources(folder, model, trained) : folder;
    const pipeline = new DiffusionPipeline(
      { ...folder, unetConfig },
      { unet: () => unet, text: () => text },
      true,
      log,
    );
    return new Renderer(pipeline, new Executor(backend, (outputs) => [...outputs]), pipeline.folder);
  }

  /** Side of the pictures that the model was made for, in pixels. */
  get defaultSize(): number {
    return this.folder.unetConfig.sampleSize * this.pipeline.factor;
  }

  render(request: SampleRequest): AsyncGenerator<HostTensor> {
    return this.pipeline.sample(this.executor, request);
  }

  async dispose(): Promise<void> {
    await this.executor.dispose();
  }
}

async function trainedSources(
  folder: PipelineFolder,
  model: string,
  { path, scale }: Trained,
): Promise<{ unet: ParamSource; text: ParamSource; unetConfig: UNetConfig }> {
  // A distilled student has fewer blocks than the pipeline it was made of.
  const ownConfig = join(path, 'unet', 'config.json');
  const unetConfig = existsSync(ownConfig)
    ? parseUNetConfig(await readJson(ownConfig, 'every component has one'), ownConfig)
    : folder.unetConfig;
  const shapes = {
    unet: recorded((s) => recordUnet(s, unetConfig)),
    text_encoder: recorded((s) => recordText(s, folder.textConfig)),
  };
  const whole = {
    unet: await wholePart(join(path, 'unet'), 'diffusion_pytorch_model', shapes.unet),
    text: await wholePart(join(path, 'text_encoder'), 'model', shapes.text_encoder),
  };
  // Either network may have been trained whole, the other by an adapter.
  const hasAdapter = ['unet', 'text_encoder'].some((part) => existsSync(join(path, part, 'adapter_config.json')));
  const values =
    (whole.unet ?? whole.text) && !hasAdapter
      ? {}
      : await loadAdapter(path, shapes, { model, fingerprint: await pipelineFingerprint(folder) });
  const adapted = (base: ParamSource, pairs: AdapterValues | undefined): ParamSource =>
    pairs ? adaptedSource(base, pairs, scale) : base;
  return {
    unet: whole.unet ?? adapted(folder.unet, values.unet),
    text: whole.text ?? adapted(folder.text, values.text_encoder),
    unetConfig,
  };
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
