/** Where a run's curves, pictures and config go to be looked at; names as mmengine's visualisation backends. */
import { Registry } from '../registry/registry.js';
import type { WorkDir } from './work-dir.js';

/** What a backend is told when the run begins. */
export interface VisRun {
  readonly workDir: WorkDir;
  /** the merged config, as YAML */
  readonly config: string;
  /** The first iteration to come. Above 0 the run is resumed: what was written of this and later ones comes again. */
  readonly iter: number;
}

/** One picture. */
export interface VisImage {
  /** its curve of pictures: `preview/0` */
  readonly name: string;
  readonly width: number;
  readonly height: number;
  /** bytes of a PNG file */
  readonly png: Uint8Array;
  /** the prompt */
  readonly caption: string;
}

/** Steps are 0-based iterations; wall times are seconds since 1970. */
export abstract class VisBackend {
  /** @throws UserError when nothing can be written there */
  abstract open(run: VisRun): Promise<void>;
  abstract addScalars(scalars: Readonly<Record<string, number>>, step: number, wallTime: number): Promise<void>;
  abstract addImage(image: VisImage, step: number, wallTime: number): Promise<void>;
  abstract addText(name: string, text: string, step: number, wallTime: number): Promise<void>;
  /** What was added is safe when it resolves; before each checkpoint. */
  async flush(): Promise<void> {}
  /** After the run, also when it failed. @param finished whether it came to its end */
  async close(_finished: boolean): Promise<void> {}
}

export const VISBACKENDS = new Registry<VisBackend>('VISBACKENDS', 'visualisation backend');
