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
import { adaptedSource } from '../adapters/network-adapter.js';
import { UserError } from '../base/errors.js';
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
    const { folder, backend, log } = base;
    const { unet, text, unetConfig } = trained.length > 0 ? await trainedSources(base, trained) : folder;
    const pipeline = new DiffusionPipeline(
      { ...folder, unetConfig },
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

/** Parameters that a picture is drawn with. */
interface Sources {
  readonly unet: ParamSource;
  readonly text: ParamSource;
  readonly unetConfig: UNetConfig;
}

/** Whole networks take the place of the pipeline's own; adapters of a network add up. */
async function trainedSources({ folder, model }: Base, trained: readonly Trained[]): Promise<Sources> {
  const fingerprint = await pipelineFingerprint(folder);
  let sources: Sources = folder;
  for (const { path, scale } of trained) {
    // A distilled student has fewer blocks than the pipeline it was made of.
    const ownConfig = join(path, 'unet', 'config.json');
    const unetConfig = existsSync(ownConfig)
      ? parseUNetConfig(await readJson(ownConfig, 'every component has one'), ownConfig)
      : sources.unetConfig;
    const shapes = {
      unet: recorded((s) => recordUnet(s, unetConfig)),
      text_encoder: recorded((s) => recordText(s, folder.textConfig)),
    };
    const whole = {
      unet: await wholePart(join(path, 'unet'), 'diffusion_pytorch_model', shapes.unet),
      text_encoder: await wholePart(join(path, 'text_encoder'), 'model', shapes.text_encoder),
    };
    for (const [part, source] of PARTS)
      if (whole[part] && sources[source] !== folder[source])
        throw new UserError(
          `${join(path, part)}: all of this network was trained, and it would replace what was loaded before; load it first, and adapters after it`,
          { code: 'MODEL_MISMATCH' },
        );
    sources = { unet: whole.unet ?? sources.unet, text: whole.text_encoder ?? sources.text, unetConfig };
    // Either network may have been trained whole, the other by an adapter.
    const hasAdapter = PARTS.some(([part]) => existsSync(join(path, part, 'adapter_config.json')));
    if ((whole.unet ?? whole.text_encoder) && !hasAdapter) continue;
    const values = await loadAdapter(path, shapes, { model, fingerprint });
    for (const [part, source] of PARTS) {
      const adapter = values[part];
      if (adapter && !whole[part]) sources = { ...sources, [source]: adaptedSource(sources[source], adapter, scale) };
    }
  }
  return sources;
}

/** Folders of the networks, and what draws with them. */
const PARTS = [
  ['unet', 'unet'],
  ['text_encoder', 'text'],
] as const;

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
