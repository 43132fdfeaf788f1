/** One drawing: its place in the queue, its steps, then the picture with the settings that made it. */
import type { Drawing, DrawRequest } from '../../tools/ui/protocol.js';
import { showLarge } from '../parts/lightbox.js';
import { api, drawingUrl } from './api.js';
import { drawForms, formOf } from './draw-form.js';
import { attempt, dropDrawing } from './store.js';

interface Props {
  readonly drawing: Drawing;
  /** the one that the form is for */
  readonly run: string;
}

export function DrawingTile({ drawing, run }: Props) {
  const { number, request, seed, state } = drawing,
    over = state === 'done' || state === 'failed' || state === 'cancelled';
  const use = (): void => {
    drawForms.value = new Map(drawForms.value).set(request.run, formOf(request, seed));
  };
  const remove = (): void =>
    void attempt(async () => {
      await api.forget(number);
      if (over) dropDrawing(number);
    });
  return (
    <figure class="drawing">
      <Canvas drawing={drawing} />
      <figcaption>
        <p>{request.prompt}</p>
        <small>{settingsText(request, seed)}</small>
        <div class="buttons">
          {request.run === run && (
            <button type="button" class="small" onClick={use}>
              Use these settings
            </button>
          )}
          {state === 'done' && (
            <a class="button small" href={drawingUrl(number)} download={`${fileName(request.prompt)}-${seed}.png`}>
              Save
            </a>
          )}
          <button type="button" class="small" onClick={remove}>
            {over ? 'Remove' : 'Cancel'}
          </button>
        </div>
      </figcaption>
    </figure>
  );
}

function Canvas({ drawing: { number, request, state, done, total, error } }: { readonly drawing: Drawing }) {
  if (state === 'done') {
    const what = request.prompt;
    return (
      <button
        type="button"
        class="canvas"
        aria-label={`Show large: ${what}`}
        onClick={(event) => {
          const { naturalWidth, naturalHeight } = event.currentTarget.querySelector('img')!;
          const picture = { src: drawingUrl(number), caption: what, width: naturalWidth, height: naturalHeight };
          showLarge(picture, what);
        }}
      >
        <img src={drawingUrl(number)} alt={what} class="drawn" onLoad={(e) => sharpen(e.currentTarget)} />
      </button>
    );
  }
  const words: Record<Exclude<Drawing['state'], 'done'>, string> = {
    queued: 'waiting',
    opening: 'opening the model ...',
    drawing: `step ${done} of ${total}`,
    failed: error ?? 'It failed.',
    cancelled: 'cancelled',
  };
  return (
    <div class={`canvas ${state}`} role={state === 'failed' ? 'alert' : undefined}>
      <span>{words[state]}</span>
      {state === 'drawing' && <progress max={total} value={done} aria-label="Steps" />}
    </div>
  );
}

/** Small pictures keep their pixels. */
function sharpen(img: HTMLImageElement): void {
  img.classList.toggle('sharp', Math.max(img.naturalWidth, img.naturalHeight) <= 256);
}

function settingsText(request: DrawRequest, seed: number): string {
  const { run, checkpoint, steps, guidanceScale, guidanceRescale, scheduler, adapterScale, negativePrompt } = request;
  return [
    `${run.split('/').at(-1)} ${checkpoint ?? 'before training'}`,
    `seed ${seed}`,
    steps !== undefined && `${steps} steps`,
    guidanceScale !== undefined && `guidance ${guidanceScale}`,
    guidanceRescale !== undefined && guidanceRescale > 0 && `rescaled by ${guidanceRescale}`,
    adapterScale !== undefined && adapterScale !== 1 && `strength ${adapterScale}`,
    scheduler !== undefined && scheduler.replace(/Scheduler$/, ''),
    negativePrompt && `not: ${negativePrompt}`,
  ]
    .filter(Boolean)
    .join(' · ');
}

const fileName = (prompt: string): string =>
  prompt
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .slice(0, 60);
