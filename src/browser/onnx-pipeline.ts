/** An exported pipeline that draws where ONNX Runtime runs: in a page, a worker, or Node. */
import type { PartValues } from '../adapters/parts.js';
import { FileError, Interrupted, UserError } from '../base/errors.js';
import { SILENT, type Logger } from '../base/logger.js';
import { Rng } from '../base/rng.js';
import { ClipTokenizer } from '../formats/tokenizers/clip-tokenizer.js';
import { parseUNetConfig } from '../networks/unet-config.js';
import { parseVaeConfig } from '../networks/vae-config.js';
import { denoise } from '../sampling/denoise.js';
import { toPixels, unitRange } from '../sampling/pixels.js';
import { schedulerFromConfig } from '../sampling/schedulers/from-config.js';
import { stableDiffusionDefaults } from '../sampling/schedulers/stable-diffusion-defaults.js';
import { float32, floats, sizeOf, type HostTensor } from '../tensor/host.js';
import { readAdapter } from './adapter-files.js';
import { checkBrowserDraw, type BrowserDrawOptions, type OnnxPipelineOptions } from './draw-options.js';
import { Files, type Folder } from './files.js';
import { OnnxNetwork } from './onnx-network.js';
import { BrowserPicture } from './picture.js';

interface Loaded {
  readonly part: PartValues;
  readonly scale: number;
}

/** Calls run one after the other, in the order they were made: ONNX Runtime in a browser computes one thing at a time. */
export class OnnxPipeline {
  private readonly adapters: Loaded[] = [];
  private texts = new Map<string, HostTensor>();
  private last: Promise<unknown> = Promise.resolve();
  private isDisposed = false;

  private constructor(
    private readonly files: Files,
    private readonly about: Readonly<Record<string, unknown>>,
    private readonly tokenizer: ClipTokenizer,
    private readonly networks: Readonly<Record<'text_encoder' | 'unet' | 'vae_decoder', OnnxNetwork>>,
    private readonly settings: {
      readonly channels: number;
      readonly sampleSize: number;
      readonly factor: number;
      /** sides of pictures are multiples of it: the deepest stage of the U-Net has whole pixels */
      readonly multiple: number;
      readonly scalingFactor: number;
      readonly scheduler: Record<string, unknown>;
    },
    private readonly log: Logger,
  ) {}

  /** Use `loadOnnxPipeline`. */
  static async open(folder: Folder, options: OnnxPipelineOptions): Promise<OnnxPipeline> {
    const { log = SILENT, signal } = options,
      files = new Files(folder, signal);
    const about = (await files.findJson('diffengine.json')) ?? {};
    if (Array.isArray(about['files'])) files.limitTo(about['files'] as string[]);
    const json = (path: string): Promise<Record<string, unknown>> =>
      files.json(path, '"diffengine export-onnx" writes it');
    const unet = parseUNetConfig(await json('unet/config.json'), files.at('unet/config.json')),
      vae = parseVaeConfig(await json('vae_decoder/config.json'), files.at('vae_decoder/config.json')),
      scheduler = await json('scheduler/scheduler_config.json');
    const place = {
      at: (name: string) => files.at(`tokenizer/${name}`),
      read: (n: string) => files.text(`tokenizer/${n}`),
    };
    const tokenizer = await ClipTokenizer.from(place, { log });
    const network = (name: string): OnnxNetwork => new OnnxNetwork(files, name, options);
    const pipeline = new OnnxPipeline(
      files,
      about,
      tokenizer,
      { text_encoder: network('text_encoder'), unet: network('unet'), vae_decoder: network('vae_decoder') },
      {
        channels: unet.inChannels,
        sampleSize: unet.sampleSize,
        factor: 2 ** (vae.blockOutChannels.length - 1),
        multiple: 2 ** (vae.blockOutChannels.length + unet.blockOutChannels.length - 2),
        scalingFactor: vae.scalingFactor,
        scheduler: stableDiffusionDefaults(scheduler).config,
      },
      log,
    );
    await pipeline.start();
    return pipeline;
  }

  /** Side of the pictures that the model was made for, in pixels. */
  get defaultSize(): number {
    return this.settings.sampleSize * this.settings.factor;
  }

  /**
   * Puts a PEFT adapter on the model; several add up. Weights of the model are read again, from the browser's cache.
   * @param folder with `adapter_config.json`, or a checkpoint with `unet/` and `text_encoder/`
   * @param scale multiplies what it changes; 1 as trained
   * @throws UserError FILE_NOT_FOUND, FILE_INVALID, MODEL_MISMATCH; the pipeline then stays as it was
   */
  async loadAdapter(folder: Folder, { scale = 1 }: { readonly scale?: number } = {}): Promise<void> {
    if (!Number.isFinite(scale)) throw new UserError(`loadAdapter.scale: ${scale} is no number`);
    await this.inTurn('loadAdapter', async () => {
      const fingerprint = this.about['base_fingerprint'],
        base = {
          model: String(this.about['base_model'] ?? this.files.name),
          fingerprint: typeof fingerprint === 'string' ? fingerprint : undefined,
        };
      const part = await readAdapter(new Files(folder), (name) => this.networks[name].shapes(), base);
      await this.replace([...this.adapters, { part, scale }]);
    });
  }

  /** Takes all that `loadAdapter` put on it off again. */
  async unloadAdapters(): Promise<void> {
    await this.inTurn('unloadAdapters', () => this.replace([]));
  }

  /** @throws UserError INVALID_INPUT for options, INTERRUPTED after the signal, which stops between two steps */
  async draw(options: BrowserDrawOptions): Promise<BrowserPicture> {
    checkBrowserDraw(options);
    return this.inTurn('draw', () => this.drawNow(options));
  }

  /** Frees the sessions, after what is running now. Later calls throw. */
  async dispose(): Promise<void> {
    this.isDisposed = true;
    await this.last.catch(() => undefined); // whoever asked for that gets its error
    for (const network of Object.values(this.networks)) await network.release();
  }

  private async start(): Promise<void> {
    for (const network of Object.values(this.networks)) await network.open([]);
  }

  private async drawNow(options: BrowserDrawOptions): Promise<BrowserPicture> {
    const { channels, factor, multiple, scalingFactor } = this.settings;
    const {
        prompt,
        negativePrompt = '',
        seed = 0,
        steps = 50,
        guidanceScale = 7.5,
        guidanceRescale = 0,
        scheduler,
        signal,
      } = options,
      { width = this.defaultSize, height = this.defaultSize } = options;
    if (height % multiple !== 0 || width % multiple !== 0)
      throw new UserError(`draw: ${width} x ${height} pixels; width and height must be multiples of ${multiple}`);
    const rows = [...(guidanceScale > 1 ? [await this.encode(negativePrompt)] : []), await this.encode(prompt)],
      states = joined(rows),
      noise = new Rng(seed).stream('latents'),
      shape = [channels, height / factor, width / factor];
    const latents = await denoise({
      scheduler: schedulerFromConfig(this.settings.scheduler, scheduler, {
        key: 'draw.scheduler',
        file: this.files.at('scheduler/scheduler_config.json'),
      }),
      steps,
      start: float32(noise.normals(sizeOf(shape)), shape),
      noise: () => noise.normals(sizeOf(shape)),
      predict: (sample, timestep) => this.predict(sample, timestep, states, guidanceScale, guidanceRescale),
      onStep: (done) => options.onStep?.(done, steps),
      signal,
    });
    if (!latents) throw new Interrupted('draw: stopped before the picture was done', { cause: signal?.reason });
    const unscaled = float32(
      floats(latents).map((v) => v / scalingFactor),
      [1, ...shape],
    );
    const decoded = await this.networks.vae_decoder.run({ latent_sample: unscaled }, 'sample');
    return new BrowserPicture(toPixels(unitRange(float32(floats(decoded), decoded.shape.slice(1)))), seed, prompt);
  }

  /** [1, T, D] */
  private async encode(prompt: string): Promise<HostTensor> {
    const known = this.texts.get(prompt);
    if (known) return known;
    const { ids, truncated } = this.tokenizer.encode(prompt);
    if (truncated)
      this.log.warn(`prompt: longer than ${this.tokenizer.maxLength} tokens, the end is cut off: "${prompt}"`);
    const input: HostTensor = { dtype: 'int32', shape: [1, ids.length], data: ids };
    const states = await this.networks.text_encoder.run({ input_ids: input }, 'last_hidden_state');
    this.texts.set(prompt, states);
    return states;
  }

  /** With guidance, negative and positive in one batch. */
  private async predict(
    sample: HostTensor,
    timestep: number,
    states: HostTensor,
    guidance: number,
    rescale: number,
  ): Promise<Float32Array> {
    const [rows] = states.shape,
      feeds = {
        sample: rows === 2 ? joined([sample, sample]) : sample,
        timestep: float32([timestep], [1]),
        encoder_hidden_states: states,
      };
    const out = floats(await this.networks.unet.run(feeds, 'out_sample'));
    if (rows === 1) return out;
    const size = out.length / 2,
      positive = out.subarray(size);
    const guided = out.subarray(0, size).map((negative, i) => negative + guidance * (positive[i] - negative));
    if (rescale === 0) return guided;
    const factor = 1 + rescale * (Math.sqrt(variance(positive) / variance(guided)) - 1);
    return guided.map((v) => v * factor);
  }

  private async replace(adapters: readonly Loaded[]): Promise<void> {
    for (const part of ['unet', 'text_encoder'] as const) {
      const own = (loaded: readonly Loaded[]) =>
        loaded.flatMap(({ part: { [part]: values }, scale }) => (values ? [{ values, scale }] : []));
      if (own(adapters).length > 0 || own(this.adapters).length > 0) await this.networks[part].open(own(adapters));
    }
    this.texts = new Map();
    this.adapters.splice(0, this.adapters.length, ...adapters);
  }

  private inTurn<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.isDisposed) throw new UserError(`${what}: the pipeline was disposed; load it again`);
    const turn = this.last.catch(() => undefined).then(work);
    this.last = turn;
    return turn;
  }
}

/** Of all values. */
function variance(values: Float32Array): number {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length;
}

/** Equal-shaped tensors [1, ...] as rows of one. */
function joined(rows: readonly HostTensor[]): HostTensor {
  const [first] = rows,
    size = first.data.length,
    data = new Float32Array(size * rows.length);
  rows.forEach((row, i) => data.set(floats(row), i * size));
  return float32(data, [rows.length, ...first.shape.slice(1)]);
}

/**
 * Opens a folder that `diffengine export-onnx` wrote.
 * @throws UserError FILE_NOT_FOUND, FILE_INVALID, BACKEND_UNAVAILABLE
 */
export function loadOnnxPipeline(folder: Folder, options: OnnxPipelineOptions): Promise<OnnxPipeline> {
  if (typeof options?.ort?.InferenceSession?.create !== 'function')
    throw new FileError(
      "loadOnnxPipeline.ort: no ONNX Runtime; import * as ort from 'onnxruntime-web', and hand it in",
      { code: 'BACKEND_UNAVAILABLE' },
    );
  return OnnxPipeline.open(folder, options);
}
