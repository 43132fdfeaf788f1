/**
 * Architectural compression of Stable Diffusion: a U-Net with fewer blocks learns from the one it was made of (BK-SDM, Kim
 * et al., arXiv 2305.15798; segmind's distill-sd). All of the student is trained; text encoder and VAE are the teacher's.
 */
import { createHash } from 'node:crypto';
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
import { add } from '../tensor/ops.js';
import { input, type Tensor, type TensorType } from '../tensor/tensor.js';
import { DenoisingTask, denoisingOptions, stepInputs } from './denoising-task.js';
import { schedulerFingerprint, type Drawing } from '../sampling/check-drawings.js';
import { DiffusionPipeline } from '../sampling/diffusion-pipeline.js';
import type { EncodingCache } from '../sampling/encoding-cache.js';
import { distillLoss, tappedUnet } from './distill-loss.js';
import { DISTILL_PRESETS, presetTaps, type DistillWeights, type TapPair } from './distill-presets.js';
import { openStudent, removeBlocks, type Student } from './distill-student.js';
import { architectureHash } from '../adapters/base-record.js';
import { openPipeline, pipelineFingerprint, type PipelineFolder } from '../formats/pipeline/pipeline-folder.js';
import { recorded, recordText, recordUnet } from '../networks/record.js';
import { randomStart } from '../networks/random-start.js';
import { TrainedPart } from './trained-part.js';
import { resolveModel } from '../formats/hub/hub.js';

@MODELS.register()
export class DistillSD extends Model {
  static readonly options = {
    description:
      'A smaller U-Net that learns from the one of a Stable Diffusion pipeline: from its predictions, its hidden states and pictures with texts.',
    type: 'object',
    additionalProperties: false,
    required: ['model'],
    properties: {
      model: {
        type: 'string',
        description:
          'the teacher, a pipeline of SD 1.x or 2.x: a folder, or an id of the hub such as runwayml/stable-diffusion-v1-5',
      },
      block_removal: {
        type: ['string', 'null'],
        enum: ['base', 'small', 'bk_small', 'tiny', null],
        default: null,
        description:
          'makes the student of the teacher: base and small have the layout of segmind/small-sd, bk_small lacks its mid block, tiny has the layout of segmind/tiny-sd',
      },
      student: {
        type: ['string', 'null'],
        default: null,
        description:
          'instead of block_removal: a pipeline or checkpoint whose U-Net is trained, a folder or an id of the hub',
      },
      init: {
        type: 'string',
        enum: ['copy', 'random'],
        default: 'copy',
        description: "copy: the student starts with the teacher's weights, or those of its folder; random: untrained",
      },
      preset: {
        type: 'string',
        enum: ['bk_sdm', 'segmind'],
        default: 'bk_sdm',
        description:
          'whose hidden states and weights: bk_sdm 1, 1, 1 on the down and up blocks; segmind 1, 0.5, 0.5 on the mid block too',
      },
      taps: {
        anyOf: [
          { type: 'array', items: { type: 'array', items: { type: 'string' }, minItems: 2, maxItems: 2 } },
          { type: 'null' },
        ],
        default: null,
        description:
          "pairs [module of the teacher, module of the student] whose hidden states are compared, such as ['up_blocks.1', 'up_blocks.0']; null: the preset's",
      },
      task_weight: {
        type: ['number', 'null'],
        minimum: 0,
        default: null,
        description: "factor of the loss against the true noise; null: the preset's",
      },
      output_weight: {
        type: ['number', 'null'],
        minimum: 0,
        default: null,
        description: "factor of the distance to the teacher's prediction; null: the preset's",
      },
      feature_weight: {
        type: ['number', 'null'],
        minimum: 0,
        default: null,
        description: "factor of the distances to the teacher's hidden states, which are added; null: the preset's",
      },
      ...denoisingOptions,
    },
  } as const satisfies OptionsSchema;

  private readonly task: DenoisingTask;
  private resolved: Promise<string> | undefined;
  private readonly weights: DistillWeights;
  private teacher!: PipelineFolder;
  private student!: Student;
  private part!: TrainedPart;
  private taps: readonly TapPair[] = [];
  private teacherPipeline!: DiffusionPipeline;
  private studentPipeline!: DiffusionPipeline;
  private baseFingerprint = '';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof DistillSD.options>,
    @inject(BUILD) build: Build,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
    if ((opts.student === null) === (opts.block_removal === null)) {
      throw new UserError(
        `model: ${opts.student === null ? 'neither block_removal nor student is' : 'both block_removal and student are'} set; give block_removal to make the student of the teacher, or the pipeline of a student`,
      );
    }
    const { weights } = DISTILL_PRESETS[opts.preset];
    this.weights = {
      task: opts.task_weight ?? weights.task,
      output: opts.output_weight ?? weights.output,
      feature: opts.feature_weight ?? weights.feature,
    };
    if (Object.values(this.weights).every((w) => w === 0))
      throw new UserError(
        'model: task_weight, output_weight and feature_weight are all 0; there is nothing to learn from',
      );
    this.task = new DenoisingTask(opts, build);
  }

  override async check(drawings: readonly Drawing[]): Promise<void> {
    await this.task.check(await this.modelFolder(), drawings, this.log);
  }

  async load(): Promise<void> {
    const { student, block_removal: removal, preset } = this.opts;
    const teacher = this.task.open(await openPipeline(await this.modelFolder(), this.log));
    this.teacher = teacher;
    this.student =
      removal === null ? await openStudent(student as string, teacher, this.log) : await removeBlocks(teacher, removal);
    this.part = new TrainedPart('unet', this.student.source, this.student.shapes, { kind: 'whole' }, this.student.raw);
    this.taps =
      (this.opts.taps as readonly TapPair[] | null) ??
      (this.weights.feature === 0 ? [] : presetTaps(preset, teacher.unetConfig, this.student.config));
    this.teacherPipeline = new DiffusionPipeline(
      teacher,
      { unet: () => teacher.unet, text: () => teacher.text },
      true,
      this.log,
    );
    this.studentPipeline = new DiffusionPipeline(
      { ...teacher, unetConfig: this.student.config },
      { unet: (w) => this.part.source(w), text: () => teacher.text },
      true,
      this.log,
    );
    this.baseFingerprint = createHash('sha256')
      .update(await pipelineFingerprint(teacher))
      .update(architectureHash(this.student.shapes))
      .digest('hex');
    this.loss(this.smallestFeeds()); // finds wrong taps before the data is read
  }

  /** Downloaded once. */
  private modelFolder(): Promise<string> {
    return (this.resolved ??= resolveModel(this.opts.model, { log: this.log }));
  }

  override get encodings(): EncodingCache {
    return this.studentPipeline.encodings;
  }

  get fingerprint(): string {
    return this.baseFingerprint;
  }

  override get drawingFingerprint(): string {
    return `${this.fingerprint} ${schedulerFingerprint(this.teacher.schedulerConfig)}`;
  }

  get counts(): { readonly frozen: number; readonly trainable: number } {
    const count = (shapes: ReadonlyMap<string, Shape>): number => totalSizeOf(shapes);
    const { unetConfig, textConfig } = this.teacher;
    return {
      frozen: count(recorded((s) => recordUnet(s, unetConfig))) + count(recorded((s) => recordText(s, textConfig))),
      trainable: count(this.student.shapes),
    };
  }

  parameters(): ReadonlyMap<string, Shape> {
    return this.part.parameters;
  }

  async initialValues(rng: Rng): Promise<Record<string, HostTensor>> {
    return this.opts.init === 'random' ? randomStart(this.part.parameters, rng) : this.part.initialValues(rng);
  }

  feeds(samples: readonly TrainSample[], step: StepContext): Promise<Feeds> {
    return this.task.feeds(samples, step, this.studentPipeline, this.executor, { instance: 1, prior: 1 });
  }

  loss(feeds: Readonly<Record<string, TensorType>>): { loss: Tensor; logs: Record<string, Tensor> } {
    const of = stepInputs(feeds),
      inputs = this.task.unetInputs(of, of('encoder_hidden_states'));
    const student = tappedUnet(this.part.source('current'), inputs, this.student.config, {
      checkpointing: this.opts.gradient_checkpointing,
    });
    const teacher = tappedUnet(this.teacher.unet, inputs, this.teacher.unetConfig);
    const { loss, task, output, features } = distillLoss(
      this.task.loss(student.out, of),
      student,
      teacher,
      this.taps,
      this.weights,
    );
    return {
      loss,
      logs: {
        loss_task: task,
        ...(output && { loss_output: output }),
        ...(features.length > 0 && { loss_feature: features.reduce((a, b) => add(a, b)) }),
      },
    };
  }

  /** The student draws; with `weights: 'base'`, the teacher. */
  sample(request: SampleRequest): AsyncGenerator<HostTensor> {
    return (request.weights === 'base' ? this.teacherPipeline : this.studentPipeline).sample(this.executor, request);
  }

  /** Writes the student's U-Net in diffusers' format. */
  async save(folder: string, values: Readonly<Record<string, HostTensor>>): Promise<void> {
    await this.part.save(folder, values, {
      model: this.opts.model,
      fingerprint: this.fingerprint,
      config: JSON.stringify(this.opts),
    });
  }

  /** Types of a step on one picture, one pixel at the deepest stage. */
  private smallestFeeds(): Record<string, TensorType> {
    const { blockOutChannels, inChannels, outChannels, crossAttentionDim } = this.teacher.unetConfig;
    const side = 2 ** (blockOutChannels.length - 1);
    const shapes = {
      noisy_latents: [1, inChannels, side, side],
      target: [1, outChannels, side, side],
      timesteps: [1],
      weights: [1],
      encoder_hidden_states: [1, 1, crossAttentionDim],
    };
    return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, input(name, shape)]));
  }
}

declare module '../registry/kinds.js' {
  interface ModelMap {
    DistillSD: typeof DistillSD;
  }
}
