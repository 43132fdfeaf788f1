/// <reference lib="esnext.disposable" preserve="true" />
/** An open pipeline that a program draws with. */
import { Interrupted, UserError } from '../base/errors.js';
import { checkpointPath } from '../engine/checkpoint-path.js';
import { checkDrawOptions, DRAW_OPTIONS, type DrawOptions } from '../sampling/draw-options.js';
import type { Renderer } from '../sampling/renderer.js';
import type { Trained } from '../sampling/trained-networks.js';
import { optionsOf, type CallOptions } from './call-options.js';
import { Picture } from './picture.js';

export type { DrawOptions };

export interface AdapterOptions extends Omit<CallOptions, 'log'> {
  /** Multiplies what the adapter changes; 1 as trained, 0 nothing. Default 1. */
  readonly scale?: number | undefined;
}

const checkDraw = optionsOf<DrawOptions>({ ...DRAW_OPTIONS, onStep: {} }, ['prompt']);
const checkAdapter = optionsOf<AdapterOptions>({ scale: { type: 'number' } });

/** A Stable Diffusion pipeline with its compiled programs. Calls run one after the other, in the order they were made. */
export class Pipeline {
  private readonly adapters: Trained[] = [];
  private isDisposed = false;
  /** What was asked for last; the next waits for it. */
  private last: Promise<unknown> = Promise.resolve();

  /** Use `loadPipeline`. */
  constructor(
    private renderer: Renderer,
    private readonly close: () => Promise<void>,
  ) {}

  /** Side of the pictures that the model was made for, in pixels. */
  get defaultSize(): number {
    return this.renderer.defaultSize;
  }

  /**
   * Puts what was trained on the pipeline: adapters add up, a network that was trained whole replaces the pipeline's own.
   * @param path checkpoint or work dir of a run (then its last checkpoint), or an adapter of PEFT, diffusers or kohya
   * @throws UserError FILE_NOT_FOUND, FILE_INVALID, MODEL_MISMATCH; the pipeline then stays as it was
   */
  async loadAdapter(path: string, options: AdapterOptions = {}): Promise<void> {
    checkAdapter('loadAdapter', options);
    const { scale = 1, signal } = options;
    await this.inTurn('loadAdapter', signal, async () => {
      const trained = { path: await checkpointPath(path), scale };
      await this.replace([...this.adapters, trained]);
    });
  }

  /** Takes all that `loadAdapter` put on it off again. */
  async unloadAdapters(): Promise<void> {
    await this.inTurn('unloadAdapters', undefined, () => this.replace([]));
  }

  /**
   * Draws one picture. The first of each size compiles the programs that the next ones use.
   * @throws UserError INVALID_INPUT for options, INTERRUPTED after the signal, which stops between two steps
   */
  async draw(options: DrawOptions): Promise<Picture> {
    checkDraw('draw', options);
    const {
      prompt,
      negativePrompt = '',
      seed = 0,
      steps = 50,
      guidanceScale = 7.5,
      guidanceRescale = 0,
      scheduler,
      signal,
    } = options;
    checkDrawOptions(options);
    return this.inTurn('draw', signal, async () => {
      const { height = this.defaultSize, width = this.defaultSize } = options;
      const pictures = this.renderer.render({
        prompts: [prompt],
        negative_prompt: negativePrompt,
        seeds: [seed],
        steps,
        guidance_scale: guidanceScale,
        guidance_rescale: guidanceRescale,
        height,
        width,
        ...(scheduler !== undefined && { scheduler }),
        ...(options.onStep && { onStep: options.onStep }),
        ...(signal && { signal }),
      });
      for await (const pixels of pictures) return new Picture(pixels, seed, prompt);
      throw new Interrupted('draw: stopped before the picture was done', { cause: signal?.reason });
    });
  }

  /** Ends the computing thread and frees all memory, after what is running now. Later calls throw. */
  async dispose(): Promise<void> {
    this.isDisposed = true;
    await this.last.catch(() => undefined); // whoever asked for that gets its error
    await this.renderer.dispose();
    await this.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  private async replace(trained: readonly Trained[]): Promise<void> {
    const next = await this.renderer.with(trained);
    await this.renderer.dispose();
    this.renderer = next;
    this.adapters.splice(0, this.adapters.length, ...trained);
  }

  /** Programs change with the adapters, so nothing may draw meanwhile. */
  private inTurn<T>(what: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    if (this.isDisposed) throw new UserError(`${what}: the pipeline was disposed; load it again`);
    const turn = this.last
      .catch(() => undefined) // of another call, whose caller gets it
      .then(() => {
        if (signal?.aborted) throw new Interrupted(`${what}: stopped before it began`, { cause: signal.reason });
        return work();
      });
    this.last = turn;
    return turn;
  }
}
