/** Draws from a checkpoint of the shown run: a form, the queue, and what was drawn with its settings. */
import { useEffect, useState } from 'preact/hooks';
import type { RunView } from '../../src/runs/run-view.js';
import { api } from './api.js';
import { blankForm, drawForms, requestOf, type DrawForm } from './draw-form.js';
import { DrawFields } from './draw-fields.js';
import { DrawingTile } from './drawing-tile.js';
import { attempt, drawings, open, putDrawing } from './store.js';
import './draw.css';

export function DrawPanel() {
  const [chosen, choose] = useState<string>();
  const run = open.value.find(({ id }) => id === chosen) ?? open.value[0];
  if (!run) return null;
  return (
    <div class="draw">
      <div class="panel">
        {open.value.length > 1 && (
          <label class="field">
            Run
            <select value={run.id} onChange={(e) => choose(e.currentTarget.value)}>
              {open.value.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <Form key={run.id} view={run.view} />
      </div>
      <Drawn run={run.id} />
    </div>
  );
}

function Form({ view }: { readonly view: RunView }) {
  const [schedulers, setSchedulers] = useState<readonly string[]>([]),
    [sending, setSending] = useState(false);
  const form = drawForms.value.get(view.id) ?? blankForm(view);
  const set = (change: Partial<DrawForm>): void => {
    drawForms.value = new Map(drawForms.value).set(view.id, { ...form, ...change });
  };
  useEffect(() => void attempt(async () => setSchedulers(await api.schedulers())), []);
  if (!view.drawing) return <p class="nothing">The model of this run draws no pictures.</p>;
  const draw = async (): Promise<void> => {
    setSending(true);
    await attempt(async () => (await api.draw(requestOf(view, form))).forEach(putDrawing));
    setSending(false);
  };
  return (
    <form
      class="draw-form"
      onSubmit={(event) => {
        event.preventDefault();
        void draw();
      }}
    >
      <DrawFields view={view} form={form} set={set} schedulers={schedulers} />
      <button type="submit" class="main" disabled={sending}>
        {form.count === '1' ? 'Draw' : `Draw ${form.count} pictures`}
      </button>
    </form>
  );
}

function Drawn({ run }: { readonly run: string }) {
  const all = drawings.value,
    waiting = all.filter(({ state }) => ['queued', 'opening', 'drawing'].includes(state)).length;
  return (
    <section class="panel" aria-label="Drawings">
      <h2>
        Drawings <small role="status">{waiting > 0 ? `${waiting} to come` : ''}</small>
      </h2>
      {all.length === 0 ? (
        <p class="nothing">Nothing drawn yet. Write what to see, and press Draw.</p>
      ) : (
        <div class="drawings">
          {all.map((drawing) => (
            <DrawingTile key={drawing.number} drawing={drawing} run={run} />
          ))}
        </div>
      )}
    </section>
  );
}
