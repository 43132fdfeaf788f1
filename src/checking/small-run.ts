/** A small LoRA training and a small picture on one backend. */
import type { Backend } from '../backends/backend.js';
import { Executor } from '../backends/executor.js';
import { Rng } from '../base/rng.js';
import { SILENT } from '../base/logger.js';
import { AdamW } from '../engine/optimizers/adamw.js';
import { Parameters } from '../engine/parameters.js';
import { TrainStep } from '../engine/train-step.js';
import { MODELS, type Model } from '../models/model.js';
import { createBuild } from '../registry/container.js';
import { LOGGER } from '../registry/tokens.js';
import { floats, float32, type HostTensor } from '../tensor/host.js';

/** Steps that are compared. */
export const STEPS = 6;
const SIDE = 64;
const LR = 1e-3;

export class SmallRun {
  private readonly model: Model;
  private parameters!: Parameters;
  private training!: TrainStep;

  /** @param folder a small pipeline; components are loaded */
  constructor(
    private readonly backend: Backend,
    folder: string,
  ) {
    const lora = { type: 'LoRA', r: 4, lora_alpha: 4, target_modules: ['to_q', 'to_k', 'to_v', 'to_out.0', 'conv1'] };
    this.model = createBuild([[LOGGER, SILENT]])(MODELS, {
      type: 'StableDiffusion',
      model: folder,
      unet_lora_config: lora,
    });
  }

  async open(): Promise<void> {
    const { model, backend } = this;
    await model.load();
    this.parameters = new Parameters(model.parameters());
    model.executor = new Executor(backend, (outputs) => this.parameters.bind(outputs, 'params'));
    this.training = new TrainStep({
      model,
      backend,
      parameters: this.parameters,
      // A large eps: signs of gradients that are nothing but rounding would decide the first steps.
      optimizer: new AdamW({ lr: LR, betas: [0.9, 0.999], eps: 1e-2, weight_decay: 0.01 }),
      clipMaxNorm: 1,
      accumulativeCounts: 1,
      maxIters: 1000,
    });
    await this.training.init(await model.initialValues(new Rng(0)));
  }

  /** @param side of the pictures, in pixels @param batch how many */
  async step(iteration: number, side = SIDE, batch = 2): Promise<Record<string, number>> {
    const sample = (i: number): { img: HostTensor; text: string } => {
      const stream = new Rng(0).stream('picture', i);
      const img = Float32Array.from({ length: 3 * side * side }, () => 2 * stream.uniform() - 1);
      return { img: float32(img, [3, side, side]), text: 'a photo of a dog' };
    };
    const feeds = await this.model.feeds(
      Array.from({ length: batch }, (_, i) => sample(i)),
      { iteration, rng: new Rng(0) },
    );
    return this.training.run(feeds, { iteration, lr: LR });
  }

  async weights(): Promise<Float32Array> {
    const values = Object.values(await this.parameters.read(this.backend.states, 'params')).map(floats);
    return Float32Array.from(values.flatMap((v) => [...v]));
  }

  /** Levels of 255. */
  async draw(): Promise<Uint8Array> {
    const request = {
      prompts: ['a photo of a dog'],
      seeds: [0],
      steps: 5,
      guidance_scale: 7.5,
      height: SIDE,
      width: SIDE,
    };
    for await (const { data } of this.model.sample(request)) return data as Uint8Array;
    throw new Error('no picture was drawn');
  }

  async close(): Promise<void> {
    await this.training.dispose();
    await this.model.executor.dispose();
  }
}
