/** Time, checkpoints and origin of the shown runs. */
import type { RunView } from '../../src/runs/run-view.js';
import { OriginPanel } from '../parts/origin-panel.js';
import { Swatch } from '../parts/swatch.js';
import { TimePanel } from '../parts/time-panel.js';
import { number } from '../parts/words.js';
import { blankForm, drawForms } from './draw-form.js';
import { tab } from './place.js';
import { open } from './store.js';

export function DetailsPanel() {
  const all = open.value;
  return (
    <>
      {all.map(({ id, name, place, view }) => (
        <div class="details" key={id}>
          {all.length > 1 && (
            <h2>
              <Swatch place={place} /> {name}
            </h2>
          )}
          <section class="panel">
            <h2>Checkpoints</h2>
            <Checkpoints view={view} />
          </section>
          <section class="panel">
            <h2>Where the time went</h2>
            <TimePanel phases={view.phases} />
          </section>
          <section class="panel">
            <h2>Make this run again</h2>
            <OriginPanel environment={view.environment} />
          </section>
        </div>
      ))}
    </>
  );
}

function Checkpoints({ view }: { readonly view: RunView }) {
  if (view.checkpoints.length === 0) return <p class="nothing">None yet.</p>;
  return (
    <table class="data">
      <thead>
        <tr>
          <th scope="col">Folder</th>
          <th scope="col">Iteration</th>
          <th scope="col">Holds</th>
          <th scope="col" />
        </tr>
      </thead>
      <tbody>
        {[...view.checkpoints].reverse().map(({ name, iter, isBest, isLast, isAdapter }) => (
          <tr key={name}>
            <th scope="row">
              {name} {isBest && <span class="badge">best</span>} {isLast && <span class="badge">last</span>}
            </th>
            <td>{number(iter)}</td>
            <td>{isAdapter ? 'an adapter' : 'whole networks'}</td>
            <td>
              {view.drawing && (
                <button
                  type="button"
                  class="small"
                  onClick={() => {
                    const form = drawForms.value.get(view.id) ?? blankForm(view);
                    drawForms.value = new Map(drawForms.value).set(view.id, { ...form, checkpoint: name });
                    tab.value = 'draw';
                  }}
                >
                  Draw with it
                </button>
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
