/** A run as panels of pictures show it. */
import type { RunView } from '../../src/runs/run-view.js';

export interface PictureRun {
  readonly name: string;
  readonly place: number;
  readonly view: RunView;
}
