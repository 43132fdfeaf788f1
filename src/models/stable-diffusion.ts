/**
 * Fine-tuning of a Stable Diffusion pipeline: all of the U-Net, or low-rank adapters on it and on the text encoder,
 * with DreamBooth prior preservation (Ruiz et al., arXiv 2208.12242).
 */
import { inject } from 'inversify';
import type { Feeds } from '../backends/backend.js';
import type { Rng } from '../random/rng.js';
import { LOSSES, MODELS, NOISE, TIMESTEPS } from '../registry/registries.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { BUILD, LOGGER, OPTIONS, type Build, type Logger } from '../registry/tokens.js';
import { floats, float32, int32, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import { input, type Tensor, type TensorType } from '../tensor/tensor.js';
import { clipText } from './clip-text.js';
import { DiffusionPipeline, stack } from './diffusion-pipeline.js';
import { Scope, type ParamSource } from './layers/scope.js';
import type { Loss } from './losses/loss.js';
import { Model, type SampleRequest, type StepContext, type TrainSample, type WeightSet } from './model.js';
import type { Noise } from './noise/noise.js';
import { NoiseSchedule } from './schedulers/noise-schedule.js';
import type { Timesteps } from './timesteps/timesteps.js';
import { unet } from './unet.js';
import { TrainedPart } from './trained-part.js';
import { openPipeline, type PipelineFolder } from './pipeline-folder.js';
import { resolveModel } from './weights/hub.js';
import { loraSchema } from './lora/lora-config.js';

@MODELS.register()
export class StableDiffusion extends Model {
  static readonly options = {
    description: 'A Stable Diffusion pipeline in diffusers format, fine-tuned whole or by LoRA.',
    type: 'object',
    additionalProperties: false,
    required: ['model'],
    properties: {
      model: { type: 'string', description: 'pipeline: a folder, or an id of the hub such as segmind/small-sd' },
      unet_lora_config: { ...loraSchema, description: 'LoRA on the U-Net; null trains all its parameters' },
      text_encoder_lora_config: { ...loraSchema, description: 'LoRA on the text encoder; null leaves it frozen' },
      loss: { type: 'object', component: 'LOSSES', default: { type: 'L2Loss' }, description: 'how prediction and target are compared' },
      noise_generator: { type: 'object', component: 'NOISE', default: { type: 'WhiteNoise' }, description: 'noise added to the latents' },
      timesteps_generator: { type: 'object', component: 'TIMESTEPS', default: { type: 'TimeSteps' }, description: 'which noise levels are trained' },
      prediction_type: { type: ['string', 'null'], enum: ['epsilon', 'v_prediction', null], default: null, description: "what the U-Net predicts; null: as the pipeline's scheduler says" },
      prior_loss_weight: { type: 'number', minimum: 0, default: 1, description: 'factor of the class pictures in the loss' },
      prior_loss_reduction: { type: 'string', enum: ['diffengine', 'diffusers'], default: 'diffengine', description: 'diffengine: mean over all samples; diffusers: mean of instances plus weighted mean of class pictures, which is twice that' },
      cache_latents: { type: 'boolean', default: true, description: 'keep encoded pictures in memory by content; the results are the same' },
    },
  } as const satisfies OptionsSchema;

  private readonly criterion: Loss;
  private readonly noise: Noise;
  private readonly timesteps: Timesteps;
  private folder!: PipelineFolder;
  private schedule!: NoiseSchedule;
  private snr!: Float32Array;
  private pipeline!: DiffusionPipeline;
  private unetPart!: TrainedPart;
  private textPart!: TrainedPart;

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof StableDiffusion.options>,
    @inject(BUILD) build: Build,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    this.criterion = build(LOSSES, opts.loss);
    this.noise = build(NOISE, opts.noise_generator);
    this.timesteps = build(TIMESTEPS, opts.timesteps_generator);
  }

  async load(): Promise<void> {
    this.folder = await openPipeline(await resolveModel(this.opts.model, { logger: this.log }));
    const { folder, opts } = this;
    this.schedule = new NoiseSchedule(folder.schedulerConfig);
    this.snr = this.schedule.snr();
    this.unetPart = new TrainedPart('unet', folder.unetSource(), (source) => this.recordUnet(source), opts.unet_lora_config ?? 'all');
    this.textPart = new TrainedPart('text_encoder', folder.textSource(), (source) => this.recordText(source), opts.text_encoder_lora_config ?? 'frozen');
    this.pipeline = new DiffusionPipeline(folder, { unet: (w) => this.unetPart.source(w), text: (w) => this.textPart.source(w) }, this.textPart.frozen, this.log);
  }
}
