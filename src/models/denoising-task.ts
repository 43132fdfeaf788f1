/**
 * What a U-Net is trained on: noisy latents of pictures with their texts, and how its prediction is judged. Shared by all
 * models that train one. Everything random about a row of the batch depends on (seed, iteration, row) only.
 */
import type { Feeds } from '../backends/backend.js';
import type { Executor } from '../backends/executor.js';
import { LOSSES, type Loss, type LossContext } from './losses/loss.js';
import { NOISE, type Noise } from './noise/noise.js';
import { TIMESTEPS, type Timesteps } from './timesteps/timesteps.js';
import type { Build } from '../registry/tokens.js';
import { floats, float32, int32, sizeOf, type HostTensor } from '../tensor/host.js';
import { input, type Tensor, type TensorType } from '../tensor/tensor.js';
import type { Logger } from '../base/logger.js';
import type { RawConfig } from '../networks/component-config.js';
import { checkDrawings, checkNoiseSchedule, readSchedulerConfig, type Drawing } from '../sampling/check-drawings.js';
import { stack, type DiffusionPipeline } from '../sampling/diffusion-pipeline.js';
import type { StepContext, TrainSample } from './model.js';
import type { PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { NoiseSchedule } from '../sampling/schedulers/noise-schedule.js';
import type { PredictionType } from '../sampling/schedulers/scheduler-options.js';
import type { UNetInputs } from '../networks/unet.js';

/** Options that every such model has. */
export const denoisingOptions = {
  loss: {
    type: 'object',
    component: 'LOSSES',
    default: { type: 'L2Loss' },
    description: 'how prediction and target are compared',
  },
  noise_generator: {
    type: 'object',
    component: 'NOISE',
    default: { type: 'WhiteNoise' },
    description: 'noise added to the latents',
  },
  timesteps_generator: {
    type: 'object',
    component: 'TIMESTEPS',
    default: { type: 'TimeSteps' },
    description: 'which noise levels are trained',
  },
  prediction_type: {
    type: ['string', 'null'],
    enum: ['epsilon', 'v_prediction', 'sample', null],
    default: null,
    description: "what the U-Net predicts; null: as the pipeline's scheduler says",
  },
  caption_dropout: {
    type: 'number',
    minimum: 0,
    maximum: 1,
    default: 0,
    description:
      'share of the texts that are replaced by the empty one, for classifier-free guidance; for models trained from scratch',
  },
  gradient_checkpointing: {
    type: 'boolean',
    default: false,
    description:
      'less memory for more time: backwards, what is inside the blocks of the U-Net is computed again instead of kept; gradients are the same',
  },
  cache_latents: {
    type: 'boolean',
    default: true,
    description: 'keep encoded pictures in memory by content; the results are the same',
  },
  cache_text: {
    type: 'boolean',
    default: true,
    description: 'keep encoded prompts in memory by their tokens; the results are the same',
  },
} as const;

export interface DenoisingOptions {
  readonly loss: object;
  readonly noise_generator: object;
  readonly timesteps_generator: object;
  readonly prediction_type: PredictionType | null;
  readonly caption_dropout: number;
  readonly gradient_checkpointing: boolean;
  readonly cache_latents: boolean;
  readonly cache_text: boolean;
}

/** Factors of the two kinds of row in the loss. */
export interface RowWeights {
  readonly instance: number;
  readonly prior: number;
}

/** Gives the input of a step by name; each input is one node. */
export type StepInput = (name: string) => Tensor;
export const stepInputs = (feeds: Readonly<Record<string, TensorType>>): StepInput => {
  const known = new Map<string, Tensor>();
  return (name) => {
    const leaf = known.get(name) ?? input(name, feeds[name].shape, feeds[name].dtype);
    known.set(name, leaf);
    return leaf;
  };
};

export class DenoisingTask {
  private readonly criterion: Loss;
  private readonly noise: Noise;
  private readonly timesteps: Timesteps;
  private schedule!: NoiseSchedule;
  private lossContext!: LossContext;

  constructor(
    private readonly opts: DenoisingOptions,
    build: Build,
  ) {
    this.criterion = build(LOSSES, opts.loss);
    this.noise = build(NOISE, opts.noise_generator);
    this.timesteps = build(TIMESTEPS, opts.timesteps_generator);
  }

  /** What is trained needs of a pipeline, and what it will be asked to draw. @param folder of the pipeline */
  async check(folder: string, drawings: readonly Drawing[], log: Logger): Promise<void> {
    const config = this.trained(await readSchedulerConfig(folder));
    checkNoiseSchedule(folder, config);
    checkDrawings(folder, config, drawings, log);
  }

  /** Takes over the pipeline's noise schedule. @returns the pipeline, with the prediction type that is trained */
  open(pipeline: PipelineFolder): PipelineFolder {
    const schedulerConfig = this.trained(pipeline.schedulerConfig);
    this.schedule = new NoiseSchedule(schedulerConfig);
    this.lossContext = { predictionType: this.schedule.predictionType, snr: this.schedule.snr() };
    return { ...pipeline, schedulerConfig };
  }

  /** With the prediction type of the options, where they set one. */
  private trained(config: RawConfig): RawConfig {
    const { prediction_type } = this.opts;
    return prediction_type === null ? config : { ...config, prediction_type };
  }

  /**
   * Feeds of `unetInputs` and `loss`; rows: all instances, then all class pictures. The text is fed as states
   * `encoder_hidden_states` [B, T, D] when the encoder is frozen, else as `input_ids` [B, T].
   */
  async feeds(
    samples: readonly TrainSample[],
    step: StepContext,
    pipeline: DiffusionPipeline,
    executor: Executor,
    weights: RowWeights,
  ): Promise<Feeds> {
    const priors = samples.flatMap((s) => (s.prior ? [s.prior] : []));
    if (priors.length !== 0 && priors.length !== samples.length)
      throw new Error(`feeds: ${priors.length} of ${samples.length} samples have a class picture; all or none must`);
    const pictures = [...samples, ...priors],
      rows: Row[] = [],
      texts: HostTensor[] = [],
      ids: Int32Array[] = [];
    for (const [row, { img, text: caption }] of pictures.entries()) {
      const text =
        this.opts.caption_dropout > 0 &&
        step.rng.stream('caption_dropout', step.iteration, row).uniform() < this.opts.caption_dropout
          ? ''
          : caption;
      rows.push(
        this.row(
          await pipeline.encodeImage(executor, img, this.opts.cache_latents),
          pipeline.folder.vaeConfig.scalingFactor,
          row,
          step,
        ),
      );
      if (pipeline.textIsFrozen) texts.push(await pipeline.encodeText(executor, text, 'base', this.opts.cache_text));
      else ids.push(pipeline.tokenize(text));
    }
    const text: Feeds = pipeline.textIsFrozen
      ? { encoder_hidden_states: stack(texts) }
      : { input_ids: int32(Int32Array.from(ids.flatMap((i) => [...i])), [rows.length, ids[0].length]) };
    return {
      noisy_latents: stack(rows.map((r) => r.noisy)),
      target: stack(rows.map((r) => r.target)),
      timesteps: float32(
        rows.map((r) => r.timestep),
        [rows.length],
      ),
      weights: float32(
        rows.map(
          (r, i) =>
            (i < samples.length ? weights.instance : weights.prior) *
            this.criterion.sampleWeight(r.timestep, this.lossContext),
        ),
        [rows.length],
      ),
      ...text,
    };
  }

  /** @param context [B, T, D] text states */
  unetInputs(of: StepInput, context: Tensor): UNetInputs {
    return { sample: of('noisy_latents'), timesteps: of('timesteps'), encoderHiddenStates: context };
  }

  /** How far the U-Net's answer is from the target, a scalar. */
  loss(prediction: Tensor, of: StepInput): Tensor {
    return this.criterion.apply(prediction, of('target'), of('weights'));
  }

  private row(
    { mean, logvar }: { mean: HostTensor; logvar: HostTensor },
    scalingFactor: number,
    row: number,
    { iteration, rng }: StepContext,
  ): Row {
    const eps = rng.stream('latents', iteration, row).normals(sizeOf(mean.shape)),
      deviation = floats(logvar);
    const latents = floats(mean).map((m, i) => (m + Math.exp(0.5 * deviation[i]) * eps[i]) * scalingFactor);
    const timestep = this.timesteps.sample(this.schedule.numTrainTimesteps, rng.stream('timesteps', iteration, row));
    const noise = this.noise.sample(mean.shape, rng.stream('noise', iteration, row));
    const target = this.schedule.target(latents, noise, timestep);
    return {
      noisy: float32(this.schedule.addNoise(latents, noise, timestep), mean.shape),
      target: float32(target, mean.shape),
      timestep,
    };
  }
}

interface Row {
  readonly noisy: HostTensor;
  readonly target: HostTensor;
  readonly timestep: number;
}
