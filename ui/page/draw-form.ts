/** What stands in the form for drawing, per run; text as typed. Empty fields are left to the run's own settings. */
import { signal } from '@preact/signals';
import type { RunView } from '../../src/runs/run-view.js';
import type { DrawRequest } from '../../tools/ui/protocol.js';

/** In the list of checkpoints: the model before training. */
export const BASE = '';

export interface DrawForm {
  readonly checkpoint: string;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly seed: string;
  readonly count: string;
  readonly steps: string;
  readonly guidanceScale: string;
  readonly guidanceRescale: string;
  readonly width: string;
  readonly height: string;
  readonly scheduler: string;
  readonly adapterScale: string;
}

/** By run: what was typed stays while one looks elsewhere. */
export const drawForms = signal<ReadonlyMap<string, DrawForm>>(new Map());

export function blankForm({ checkpoints, drawing }: RunView): DrawForm {
  const best = checkpoints.find(({ isBest }) => isBest) ?? checkpoints.find(({ isLast }) => isLast);
  return {
    checkpoint: best?.name ?? BASE,
    prompt: drawing?.prompt ?? '',
    negativePrompt: drawing?.negativePrompt ?? '',
    seed: '0',
    count: '1',
    steps: String(drawing?.steps ?? ''),
    guidanceScale: String(drawing?.guidanceScale ?? ''),
    guidanceRescale: String(drawing?.guidanceRescale ?? ''),
    width: String(drawing?.width ?? ''),
    height: String(drawing?.height ?? ''),
    scheduler: drawing?.scheduler ?? '',
    adapterScale: '1',
  };
}

/** Settings of a drawing, back in the form. */
export function formOf(request: DrawRequest, seed: number): DrawForm {
  const text = (value: unknown): string => (value == null ? '' : String(value));
  return {
    checkpoint: request.checkpoint ?? BASE,
    prompt: request.prompt,
    negativePrompt: text(request.negativePrompt),
    seed: String(seed),
    count: '1',
    steps: text(request.steps),
    guidanceScale: text(request.guidanceScale),
    guidanceRescale: text(request.guidanceRescale),
    width: text(request.width),
    height: text(request.height),
    scheduler: text(request.scheduler),
    adapterScale: text(request.adapterScale ?? 1),
  };
}

export function requestOf(view: RunView, form: DrawForm): DrawRequest {
  const number = <K extends string>(key: K, text: string): { [name in K]?: number } =>
    text.trim() === '' ? {} : ({ [key]: Number(text) } as { [name in K]: number });
  const adapter = view.checkpoints.find(({ name }) => name === form.checkpoint)?.isAdapter === true;
  return {
    run: view.id,
    checkpoint: form.checkpoint === BASE ? null : form.checkpoint,
    prompt: form.prompt,
    negativePrompt: form.negativePrompt,
    ...number('seed', form.seed),
    ...number('count', form.count),
    ...number('steps', form.steps),
    ...number('guidanceScale', form.guidanceScale),
    ...number('guidanceRescale', form.guidanceRescale),
    ...number('width', form.width),
    ...number('height', form.height),
    ...(form.scheduler === '' ? {} : { scheduler: form.scheduler }),
    ...(adapter ? number('adapterScale', form.adapterScale) : {}),
  };
}
