/** With what a run's model is drawn when nobody says otherwise: as the run itself drew, so that pictures compare. */
import { join } from 'node:path';
import { isPromptFile } from '../evaluation/pictures.js';
import type { Tree } from '../registry/merge.js';
import { canDraw } from './run-checkpoints.js';
import type { Checkpoint, DrawingDefaults } from './run-view.js';
import { hookOf } from './work-dir-files.js';

/** Of the library's `draw`. */
const STEPS = 50,
  GUIDANCE = 7.5;

/** @returns undefined for a model that draws nothing */
export async function drawingDefaults(
  config: Tree,
  workDir: string,
  checkpoints: readonly Checkpoint[],
): Promise<DrawingDefaults | undefined> {
  const preview = hookOf(config, 'VisualizationHook'),
    last = checkpoints.at(-1);
  if (!preview && !(last && (await canDraw(join(workDir, last.name))))) return undefined;
  const {
    prompt,
    negative_prompt: negative,
    num_inference_steps,
    guidance_scale,
    guidance_rescale,
    width,
    height,
    scheduler,
  } = preview ?? {};
  return {
    prompt: isPromptFile(prompt) ? '' : first(prompt),
    negativePrompt: first(negative),
    steps: number(num_inference_steps) ?? STEPS,
    guidanceScale: number(guidance_scale) ?? GUIDANCE,
    guidanceRescale: number(guidance_rescale) ?? 0,
    width: number(width),
    height: number(height),
    scheduler: typeof scheduler === 'string' ? scheduler : undefined,
  };
}

const first = (texts: unknown): string => {
  const text: unknown = [texts].flat()[0];
  return typeof text === 'string' ? text : '';
};
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
