/**
 * Fine-tuning of a Stable Diffusion pipeline: all of the U-Net, or low-rank adapters on it and on the text encoder,
 * with DreamBooth prior preservation (Ruiz et al., arXiv 2208.12242).
 */
import { join } from 'node:path';
import { inject } from 'inversify';
import type { Feeds } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import type { Rng } from '../base/rng.js';
import { MODELS, Model, type StepContext, type TrainSample } from './model.js';
import { type SampleRequest } from '../sampling/sample-request.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, LOGGER, OPTIONS, type Build } from '../registry/tokens.js';
import { type Logger } from '../base/logger.js';
import { totalSizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import type { Tensor, TensorType } from '../tensor/tensor.js';
import { clipText } from '../networks/clip-text.js';
import type { RawConfig } from '../networks/component-config.js';
import { DenoisingTask, denoisingOptions, stepInputs } from './denoising-task.js';
import { schedulerFingerprint, type Drawing } from '../sampling/check-drawings.js';
import { DiffusionPipeline } from '../sampling/diffusion-pipeline.js';
import type { EncodingCache } from '../sampling/encoding-cache.js';
import { Scope } from '../networks/layers/scope.js';
import { ADAPTERS } from '../adapters/adapter-kind.js';
import { partFolders } from '../formats/pipeline/part-folders.js';
import { openPipeline, pipelineFingerprint, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { readJson } from '../formats/read-json.js';
import { recorded, recordText, recordUnet } from '../networks/record.js';
import { QuantizedSource } from '../formats/quantized-source.js';
import { initOption, randomStart } from '../networks/random-start.js';
import { TrainedPart } from './trained-part.js';
import { unet } from '../networks/unet.js';
import { resolveModel } from '../formats/hub/hub.js';

@MODELS.register()
export class StableDiffusion extends Model {
  static readonly options = {
    description: 'A Stable Diffusion pipeline in diffusers format, fine-tuned whole or by LoRA.',
    type: 'object',
    additionalProperties: false,
    required: ['model'],
    properties: {
      model: { type: 'string', description: 'pipeline: a folder, or an id of the hub such as segmind/small-sd' },
      init: { ...initOption, description: `${initOption.description}; of the U-Net, when all of it is trained` },
      base_precision: {
        type: 'string',
        enum: ['stored', 'int8'],
        default: 'stored',
        description:
          'int8: with unet_lora_config, the frozen weights of the U-Net are held in 8 bits, with a scale per output; everything is still computed in float32',
      },
      unet_lora_config: {
        type: ['object', 'null'],
        component: 'ADAPTERS',
        default: null,
        description: 'adapter of the U-Net, such as LoRA; null trains all its parameters',
      },
      text_encoder_lora_config: {
        type: ['object', 'null'],
        component: 'ADAPTERS',
        default: null,
        description: 'adapter of the text encoder, such as LoRA; null leaves it frozen',
      },
      finetune_text_encoder: { type: 'boolean', default: false, description: 'train all of the text encoder too' },
      prior_loss_weight: {
        type: 'number',
        minimum: 0,
        default: 1,
        description: 'factor of the class pictures in the loss',
      },
      prior_loss_reduction: {
        type: 'string',
        enum: ['diffengine', 'diffusers'],
        default: 'diffengine',
        description:
          'diffengine: mean over all samples; diffusers: mean of instances plus weighted mean of class pictures, which is twice that',
      },
      ...denoisingOptions,
    },
  } as const satisfies OptionsSchema;

  private readonly task: DenoisingTask;
  private resolved: Promise<string> | undefined;
  private folder!: PipelineFolder;
  private baseFingerprint = '';
  private pipeline!: DiffusionPipeline;
  private unetPart!: TrainedPart;
  private textPart!: TrainedPart;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof StableDiffusion.options>,
    @inject(BUILD) private readonly build: Build,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    if (opts.init === 'random' && opts.unet_lora_config)
      throw new UserError(
        'model.init: random starts an untrained U-Net, which unet_lora_config keeps frozen; set unet_lora_config: null, or init: copy',
      );
    if (opts.base_precision === 'int8' && !opts.unet_lora_config)
      throw new UserError(
        'model.base_precision: int8 is for weights that stay frozen, and all of the U-Net is trained; give unet_lora_config, or leave base_precision out',
      );
    this.task = new DenoisingTask(opts, build);
  }

  override async check(drawings: readonly Drawing[]): Promise<void> {
    await this.task.check(await this.modelFolder(), drawings, this.log);
  }

  async load(): Promise<void> {
    const opened = this.task.open(await openPipeline(await this.modelFolder(), this.log));
    this.baseFingerprint = await pipelineFingerprint(opened);
    const folder =
      this.opts.base_precision === 'int8'
        ? { ...opened, unet: await QuantizedSource.of(opened.unet, this.log) }
        : opened;
    this.folder = folder;
    const parts = await partFolders(folder.path);
    const config = (part: string): Promise<RawConfig> =>
      readJson(join(parts.of(part), 'config.json'), 'every component has one');
    const {
      unet_lora_config: unetLora,
      text_encoder_lora_config: textLora,
      finetune_text_encoder: wholeText,
    } = this.opts;
    this.unetPart = new TrainedPart(
      'unet',
      folder.unet,
      recorded((s) => recordUnet(s, folder.unetConfig)),
      unetLora ? { kind: 'adapter', adapter: this.build(ADAPTERS, unetLora) } : { kind: 'whole' },
      await config('unet'),
    );
    const textTraining = textLora
      ? ({ kind: 'adapter', adapter: this.build(ADAPTERS, textLora) } as const)
      : ({ kind: wholeText ? 'whole' : 'frozen' } as const);
    this.textPart = new TrainedPart(
      'text_encoder',
      folder.text,
      recorded((s) => recordText(s, folder.textConfig)),
      textTraining,
      await config('text_encoder'),
    );
    await this.unetPart.prepare();
    await this.textPart.prepare();
    this.pipeline = new DiffusionPipeline(
      folder,
      { unet: (w) => this.unetPart.source(w), text: (w) => this.textPart.source(w) },
      this.textPart.frozen,
      this.log,
    );
  }

  /** Downloaded once. */
  private modelFolder(): Promise<string> {
    return (this.resolved ??= resolveModel(this.opts.model, { log: this.log }));
  }

  override get encodings(): EncodingCache {
    return this.pipeline.encodings;
  }

  get fingerprint(): string {
    return this.baseFingerprint;
  }

  override get drawingFingerprint(): string {
    return `${this.fingerprint} ${schedulerFingerprint(this.folder.schedulerConfig)}`;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    const trainable = totalSizeOf(this.parameters());
    return { frozen: this.unetPart.frozenCount + this.textPart.frozenCount, trainable };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return new Map([...this.unetPart.parameters, ...this.textPart.parameters]);
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    const unetValues =
      this.opts.init === 'random' ? randomStart(this.unetPart.parameters, rng) : await this.unetPart.initialValues(rng);
    return { ...unetValues, ...(await this.textPart.initialValues(rng)) };
  }

  feeds(samples: readonly TrainSample[], step: StepContext): Promise<Feeds> {
    // Twice: diffusers adds two means, each over half of the rows.
    const scale = this.opts.prior_loss_reduction === 'diffusers' && samples.some((s) => s.prior) ? 2 : 1;
    return this.task.feeds(samples, step, this.pipeline, this.executor, {
      instance: scale,
      prior: scale * this.opts.prior_loss_weight,
    });
  }

  loss(feeds: Readonly<Record<string, TensorType>>): { loss: Tensor } {
    const of = stepInputs(feeds);
    const context = this.textPart.frozen
      ? of('encoder_hidden_states')
      : clipText(new Scope(this.textPart.source('current')), of('input_ids'), this.folder.textConfig).lastHiddenState;
    const { out } = unet(
      new Scope(this.unetPart.source('current')),
      this.task.unetInputs(of, context),
      this.folder.unetConfig,
      { checkpointing: this.opts.gradient_checkpointing },
    );
    return { loss: this.task.loss(out, of) };
  }

  sample(request: SampleRequest): AsyncGenerator<HostTensor> {
    return this.pipeline.sample(this.executor, request);
  }

  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const base = { model: this.opts.model, fingerprint: this.fingerprint, config: JSON.stringify(this.opts) };
    await this.unetPart.save(folder, values, base);
    await this.textPart.save(folder, values, base);
  }
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    StableDiffusion: typeof StableDiffusion;
  }
}
