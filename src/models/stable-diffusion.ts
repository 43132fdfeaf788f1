/**
 * Fine-tuning of a Stable Diffusion pipeline: all of the U-Net, or low-rank adapters on it and on the text encoder,
 * with DreamBooth prior preservation (Ruiz et al., arXiv 2208.12242).
 */
import { join } from 'node:path';
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
import { Scope } from './layers/scope.js';
import type { Loss, LossContext } from './losses/loss.js';
import { Model, type SampleRequest, type StepContext, type TrainSample } from './model.js';
import type { Noise } from './noise/noise.js';
import { NoiseSchedule } from './schedulers/noise-schedule.js';
import type { Timesteps } from './timesteps/timesteps.js';
import { unet } from './unet.js';
import { TrainedPart } from './trained-part.js';
import { openPipeline, pipelineFingerprint, recorded, recordText, recordUnet, type PipelineFolder } from './pipeline-folder.js';
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
      finetune_text_encoder: { type: 'boolean', default: false, description: 'train all of the text encoder too' },
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
  private lossContext!: LossContext;
  private baseFingerprint = '';
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
    const opened = await openPipeline(await resolveModel(this.opts.model, { log: this.log }), this.log);
    const { prediction_type } = this.opts;
    const folder = prediction_type === null ? opened : { ...opened, schedulerConfig: { ...opened.schedulerConfig, prediction_type } };
    this.folder = folder;
    this.schedule = new NoiseSchedule(folder.schedulerConfig);
    this.lossContext = { predictionType: this.schedule.predictionType, snr: this.schedule.snr() };
    const { unet_lora_config: unetLora, text_encoder_lora_config: textLora, finetune_text_encoder: wholeText } = this.opts;
    this.unetPart = new TrainedPart('unet', folder.unet, recorded((s) => recordUnet(s, folder.unetConfig)), unetLora ? { kind: 'lora', config: unetLora } : { kind: 'whole' }, join(folder.path, 'unet', 'config.json'));
    const textTraining = textLora ? { kind: 'lora', config: textLora } as const : { kind: wholeText ? 'whole' : 'frozen' } as const;
    this.textPart = new TrainedPart('text_encoder', folder.text, recorded((s) => recordText(s, folder.textConfig)), textTraining, join(folder.path, 'text_encoder', 'config.json'));
    this.pipeline = new DiffusionPipeline(folder, { unet: (w) => this.unetPart.source(w), text: (w) => this.textPart.source(w) }, this.textPart.frozen, this.log);
    this.baseFingerprint = await pipelineFingerprint(folder);
  }

  get fingerprint(): string {
    return this.baseFingerprint;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    const trainable = [...this.parameters().values()].reduce((n, shape) => n + sizeOf(shape), 0);
    return { frozen: this.unetPart.frozenCount + this.textPart.frozenCount, trainable };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return new Map([...this.unetPart.parameters, ...this.textPart.parameters]);
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    return { ...(await this.unetPart.initialValues(rng)), ...(await this.textPart.initialValues(rng)) };
  }

  /** Rows: all instances, then all class pictures. */
  async feeds(samples: readonly TrainSample[], { iteration, rng }: StepContext): Promise<Feeds> {
    const priors = samples.flatMap((s) => (s.prior ? [s.prior] : []));
    if (priors.length !== 0 && priors.length !== samples.length) throw new Error(`feeds: ${priors.length} of ${samples.length} samples have a class picture; all or none must`);
    const rows = [...samples, ...priors];
    const parts: Row[] = [];
    for (const [row, { img, text }] of rows.entries()) parts.push(await this.row(img, text, row, row >= samples.length, iteration, rng));
    const scale = this.opts.prior_loss_reduction === 'diffusers' && priors.length > 0 ? 2 : 1;
    const text: Feeds = this.textPart.frozen
      ? { encoder_hidden_states: stack(parts.map((p) => p.states as HostTensor)) }
      : { input_ids: int32(Int32Array.from(parts.flatMap((p) => [...p.ids])), [rows.length, parts[0].ids.length]) };
    return {
      noisy_latents: stack(parts.map((p) => p.noisy)),
      target: stack(parts.map((p) => p.target)),
      timesteps: float32(parts.map((p) => p.timestep), [rows.length]),
      weights: float32(parts.map((p) => p.weight * scale), [rows.length]),
      ...text,
    };
  }

  loss(feeds: Readonly<Record<string, TensorType>>): { loss: Tensor } {
    const leaf = (name: string): Tensor => input(name, feeds[name].shape, feeds[name].dtype);
    const context = feeds['input_ids']
      ? clipText(new Scope(this.textPart.source('current')), leaf('input_ids'), this.folder.textConfig).lastHiddenState
      : leaf('encoder_hidden_states');
    const inputs = { sample: leaf('noisy_latents'), timesteps: leaf('timesteps'), encoderHiddenStates: context };
    const { out } = unet(new Scope(this.unetPart.source('current')), inputs, this.folder.unetConfig);
    return { loss: this.criterion.apply(out, leaf('target'), leaf('weights')) };
  }

  sample(request: SampleRequest): AsyncGenerator<HostTensor> {
    return this.pipeline.sample(this.executor, request);
  }

  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    const base = { model: this.opts.model, fingerprint: this.fingerprint, config: JSON.stringify(this.opts) };
    await this.unetPart.save(folder, values, base);
    await this.textPart.save(folder, values, base);
  }

  /** Everything about one row of the batch; its chance depends on (seed, iteration, row) only. */
  private async row(img: HostTensor, text: string, row: number, isPrior: boolean, iteration: number, rng: Rng): Promise<Row> {
    const { mean, logvar } = await this.pipeline.encodeImage(this.executor, img, this.opts.cache_latents);
    const eps = rng.stream('latents', iteration, row).normals(sizeOf(mean.shape));
    const { scalingFactor } = this.folder.vaeConfig, deviation = floats(logvar);
    const latents = floats(mean).map((m, i) => (m + Math.exp(0.5 * deviation[i]) * eps[i]) * scalingFactor);
    const timestep = this.timesteps.sample(this.schedule.numTrainTimesteps, rng.stream('timesteps', iteration, row));
    const noise = this.noise.sample(mean.shape, rng.stream('noise', iteration, row));
    const target = this.schedule.predictionType === 'v_prediction' ? this.schedule.velocity(latents, noise, timestep) : noise;
    return {
      noisy: float32(this.schedule.addNoise(latents, noise, timestep), mean.shape),
      target: float32(target, mean.shape),
      timestep,
      weight: (isPrior ? this.opts.prior_loss_weight : 1) * this.criterion.sampleWeight(timestep, this.lossContext),
      ids: this.pipeline.tokenize(text),
      ...(this.textPart.frozen ? { states: await this.pipeline.encodeText(this.executor, text, 'base') } : {}),
    };
  }
}

interface Row {
  readonly noisy: HostTensor;
  readonly target: HostTensor;
  readonly timestep: number;
  readonly weight: number;
  readonly ids: Int32Array;
  readonly states?: HostTensor;
}

declare module '../registry/kinds.js' {
  interface ModelMap { StableDiffusion: typeof StableDiffusion }
}
