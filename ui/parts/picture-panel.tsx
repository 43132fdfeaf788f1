/** What the prompts show as the training goes on: one moment with a slider, or all moments side by side. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { MomentGrid } from './moment-grid.js';
import type { PictureRun } from './picture-run.js';
import { PictureTile } from './picture-tile.js';
import { SideBySide } from './side-by-side.js';
import { moment } from './words.js';

/** Training pictures are many at times. */
const MAX_TRAINING = 12;
const MAX_LOADED = 200;

export function PicturePanel({ runs }: { readonly runs: readonly PictureRun[] }) {
  const [at, setAt] = useState<number | undefined>(),
    [mode, setMode] = useState<'moment' | 'all'>('moment'),
    [beside, setBeside] = useState(true);
  const moments = [...new Set(runs.flatMap(({ view }) => view.previews.map(({ iter }) => iter)))].sort((a, b) => a - b);
  // Undefined follows a run that goes on.
  const place = at === undefined || !moments.includes(at) ? moments.length - 1 : moments.indexOf(at);
  const iter = moments[place];
  useLoaded(runs.flatMap(({ view }) => view.previews.flatMap(({ pictures }) => pictures.map(({ src }) => src))));
  return (
    <div class="moments">
      <Training runs={runs} />
      {iter === undefined ? (
        <p class="nothing">
          No pictures yet. A config with a VisualizationHook (all built-in ones have it, as custom_hooks.preview) draws
          them before training and every so many iterations.
        </p>
      ) : (
        <>
          <div class="controls" role="group" aria-label="How to show the pictures">
            <Choice on={mode === 'moment'} choose={() => setMode('moment')} text="One moment" />
            <Choice on={mode === 'all'} choose={() => setMode('all')} text="All side by side" />
            {mode === 'moment' && place > 0 && moments[0]! < 0 && (
              <label>
                <input type="checkbox" checked={beside} onChange={(e) => setBeside(e.currentTarget.checked)} /> beside
                before training
              </label>
            )}
          </div>
          {mode === 'moment' ? (
            <>
              {moments.length > 1 && (
                <label class="slider">
                  <output>{moment(iter)}</output>
                  <input
                    type="range"
                    min="0"
                    max={moments.length - 1}
                    step="1"
                    value={place}
                    aria-label="Moment of the training"
                    aria-valuetext={moment(iter)}
                    onInput={(e) => {
                      const next = Number(e.currentTarget.value);
                      setAt(next === moments.length - 1 ? undefined : moments[next]);
                    }}
                  />
                </label>
              )}
              <MomentGrid runs={runs} iter={iter} beside={beside && iter >= 0} />
            </>
          ) : (
            <SideBySide runs={runs} moments={moments} />
          )}
        </>
      )}
    </div>
  );
}

/** Loads what the slider may come to, so that nothing flickers. */
function useLoaded(sources: readonly string[]): void {
  const loaded = useRef(new Map<string, HTMLImageElement>());
  useEffect(() => {
    for (const src of sources.slice(-MAX_LOADED)) {
      if (src.startsWith('data:') || loaded.current.has(src)) continue;
      const image = new Image();
      image.src = src;
      loaded.current.set(src, image);
    }
  }, [sources.join()]);
}

function Choice({ on, choose, text }: { readonly on: boolean; readonly choose: () => void; readonly text: string }) {
  return (
    <button type="button" class="choice" aria-pressed={on} onClick={choose}>
      {text}
    </button>
  );
}

/** What is learnt. Runs that are compared learn the same mostly: it is shown once then. */
function Training({ runs }: { readonly runs: readonly PictureRun[] }) {
  const key = ({ view }: PictureRun): string =>
    view.trainingPictures.map(({ caption, src }) => caption + src.split('/').at(-1)).join();
  const known = runs.filter(({ view }) => view.trainingPictures.length > 0),
    different = known.filter((run, i) => known.findIndex((other) => key(other) === key(run)) === i);
  return (
    <>
      {different.map(({ name, view }) => (
        <section key={view.id} aria-label="Training pictures">
          <h3>
            Training pictures{different.length > 1 ? ` of ${name}` : ''}
            {view.trainingPictures.length > MAX_TRAINING && (
              <small>
                {' '}
                {MAX_TRAINING} of {view.trainingPictures.length}
              </small>
            )}
          </h3>
          <div class="strip">
            {view.trainingPictures.slice(0, MAX_TRAINING).map((picture, i) => (
              <PictureTile
                key={picture.src}
                picture={picture}
                what={`training picture ${i + 1}${picture.caption ? `: ${picture.caption}` : ''}`}
              />
            ))}
          </div>
        </section>
      ))}
    </>
  );
}
