/** What the queue of drawings and the process that draws say to each other. */

export interface DrawOrder {
  readonly kind: 'draw';
  readonly number: number;
  /** base pipeline: folder or id of the hub */
  readonly model: string;
  /** checkpoint to put on it, absolute; undefined: none */
  readonly checkpoint: string | undefined;
  readonly adapterScale: number;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly scheduler: string | undefined;
}

export type ToWorker = DrawOrder | { readonly kind: 'cancel' };

export type FromWorker =
  | { readonly kind: 'step'; readonly number: number; readonly done: number; readonly total: number }
  | { readonly kind: 'done'; readonly number: number; readonly png: Uint8Array }
  | { readonly kind: 'failed'; readonly number: number; readonly error: string };
