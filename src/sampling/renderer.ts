/** Pictures from a pipeline, as it is or with what a run trained. */
import type { Backend } from '../backends/backend.js';
import { Executor } from '../backends/executor.js';
import { checkDrawings, readSchedulerConfig, type Drawing } from './check-drawings.js';
import { DiffusionPipeline } from './diffusion-pipeline.js';
import type { SampleRequest } from './sample-request.js';
import { sourceOf, trainedNetworks, type Trained } from './trained-networks.js';
import { openPipeline, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { resolveModel } from '../formats/hub/hub.js';
import type { Logger } from '../base/logger.js';
import type { HostTensor } from '../tensor/host.js';

export interface OpenOptions {
  /** what it will be asked, so that what cannot be drawn is told before the weights are read */
  readonly drawing?: Drawing | undefined;
  /** stops a download */
  readonly signal?: AbortSignal | undefined;
}

/** What renderers of one pipeline share. */
interface Base {
  readonly folder: PipelineFolder;
  /** how its user calls it */
  readonly model: string;
  readonly backend: Backend;
  readonly log: Logger;
}

/** Renders; opens models once for all prompts. */
export class Renderer {
  private constructor(
    readonly pipeline: DiffusionPipeline,
    readonly executor: Executor,
    private readonly base: Base,
  ) {}

  /**
   * @param model pipeline folder or hub id
   * @param trained what is put on it, in this order
   * @throws UserError when the model is incomplete, or something trained is for another one
   */
  static async open(
    model: string,
    trained: readonly Trained[],
    backend: Backend,
    log: Logger,
    { drawing, signal }: OpenOptions = {},
  ): Promise<Renderer> {
    const path = await resolveModel(model, { log, signal });
    if (drawing) checkDrawings(path, await readSchedulerConfig(path), [drawing], log);
    const folder = await openPipeline(path, log);
    return Renderer.of({ folder, model, backend, log }, trained);
  }

  private static async of(base: Base, trained: readonly Trained[]): Promise<Renderer> {
    const { folder, model, backend, log } = base;
    const networks = await trainedNetworks(folder, model, trained),
      [unet, text] = [sourceOf(networks.unet), sourceOf(networks.text)],
      { prediction: prediction_type } = networks,
      schedulerConfig = { ...folder.schedulerConfig, ...(prediction_type !== undefined && { prediction_type }) };
    const pipeline = new DiffusionPipeline(
      { ...folder, unetConfig: networks.unetConfig, schedulerConfig },
      { unet: () => unet, text: () => text },
      true,
      log,
    );
    return new Renderer(pipeline, new Executor(backend, (outputs) => [...outputs]), base);
  }

  /** Another one with the same pipeline and backend, and this on it. This one stays as it is. */
  with(trained: readonly Trained[]): Promise<Renderer> {
    return Renderer.of(this.base, trained);
  }

  /** Side of the pictures that the model was made for, in pixels. */
  get defaultSize(): number {
    return this.pipeline.folder.unetConfig.sampleSize * this.pipeline.factor;
  }

  render(request: SampleRequest): AsyncGenerator<HostTensor> {
    return this.pipeline.sample(this.executor, request);
  }

  async dispose(): Promise<void> {
    await this.executor.dispose();
  }
}
