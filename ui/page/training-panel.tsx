/** Curves, pictures and scores of the shown runs over each other. */
import { CurvePanel } from '../parts/curve-panel.js';
import { PicturePanel } from '../parts/picture-panel.js';
import { ScorePanel } from '../parts/score-panel.js';
import { open } from './store.js';

export function TrainingPanel() {
  const runs = open.value;
  return (
    <>
      <section class="panel" aria-label="Curves">
        <h2>Curves</h2>
        <CurvePanel runs={runs} />
      </section>
      <section class="panel" aria-label="Pictures">
        <h2>Pictures</h2>
        <PicturePanel runs={runs} />
      </section>
      <section class="panel" aria-label="Evaluation">
        <h2>Evaluation</h2>
        <ScorePanel runs={runs} />
      </section>
    </>
  );
}
