/** The shown runs by name, and what one may do with one: stop it, or let it go on. */
import { useState } from 'preact/hooks';
import type { RunView } from '../../src/runs/run-view.js';
import { Swatch } from '../parts/swatch.js';
import { number, STATE } from '../parts/words.js';
import { api } from './api.js';
import { goTo } from './place.js';
import { ResumeDialog } from './resume-dialog.js';
import { Bar, Count } from './run-list.js';
import { attempt, open } from './store.js';

export function RunHead() {
  const all = open.value;
  return (
    <header class="run-head">
      <button type="button" class="small back" onClick={() => goTo('list')}>
        ← All runs
      </button>
      {all.map(({ id, place, name, view }) => (
        <div class="run" key={id}>
          <h1>
            {all.length > 1 && <Swatch place={place} />} {name}
          </h1>
          <span class={`state ${view.state}`}>{STATE[view.state]}</span>
          <Bar run={view} />
          <Count run={view} />
          <span class="number hint">loss {number(view.loss)}</span>
          <Actions view={view} />
          {view.state === 'failed' && view.environment?.end?.error !== undefined && (
            <p class="problem">{view.environment.end.error}</p>
          )}
        </div>
      ))}
    </header>
  );
}

function Actions({ view }: { readonly view: RunView }) {
  const [stopping, setStopping] = useState(false),
    [asking, setAsking] = useState(false);
  if (view.state === 'running')
    return (
      <button
        type="button"
        disabled={stopping}
        title="Saves a checkpoint, then ends. It can go on later."
        onClick={() => {
          setStopping(true);
          void attempt(() => api.stop(view.id)).then((well) => !well && setStopping(false));
        }}
      >
        {stopping ? 'Saving and stopping ...' : 'Stop'}
      </button>
    );
  if (view.checkpoints.length === 0 && view.state !== 'stopped') return null;
  return (
    <>
      <button
        type="button"
        onClick={() => {
          setStopping(false);
          setAsking(true);
        }}
      >
        {view.state === 'done' ? 'Train longer ...' : 'Resume ...'}
      </button>
      {asking && <ResumeDialog view={view} close={() => setAsking(false)} />}
    </>
  );
}
