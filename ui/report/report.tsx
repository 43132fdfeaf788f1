/** A run in one file: what it learnt, how it went, and how to make it again. */
import { useMemo } from 'preact/hooks';
import type { ReportData } from '../../src/runs/report-data.js';
import { ConfigText } from '../parts/config-text.js';
import { CurvePanel } from '../parts/curve-panel.js';
import { Lightbox } from '../parts/lightbox.js';
import { OriginPanel } from '../parts/origin-panel.js';
import { PicturePanel } from '../parts/picture-panel.js';
import { ScorePanel } from '../parts/score-panel.js';
import { TimePanel } from '../parts/time-panel.js';
import { date, number, scoreValue } from '../parts/words.js';

export function Report({ data: { view, scalars, thinned, written } }: { readonly data: ReportData }) {
  const runs = useMemo(() => [{ name: view.name, place: 0, view, scalars }], [view]);
  return (
    <main>
      <header>
        <h1>{view.name}</h1>
        <p class="number">
          {number(view.iterations)}
          {view.maxIters != null && ` of ${number(view.maxIters)}`} iterations
          {view.loss != null && ` · loss ${number(view.loss)}`}
          {view.scores.map((score) => ` · ${score.name} ${scoreValue(score)}`)}
          <span class="hint"> · written {date(written)}</span>
        </p>
      </header>
      <section class="panel">
        <h2>Pictures</h2>
        <PicturePanel runs={runs} />
      </section>
      <section class="panel">
        <h2>Curves</h2>
        <CurvePanel runs={runs} />
      </section>
      <section class="panel">
        <h2>Evaluation</h2>
        <ScorePanel runs={runs} />
      </section>
      <section class="panel">
        <h2>Where the time went</h2>
        <TimePanel phases={view.phases} />
      </section>
      <section class="panel">
        <h2>Make this run again</h2>
        <OriginPanel environment={view.environment} />
      </section>
      <section class="panel">
        <h2>Config</h2>
        <ConfigText text={view.config} />
      </section>
      {thinned.length > 0 && <p class="hint">To keep this file small: {thinned.join(' ')}</p>}
      <Lightbox />
    </main>
  );
}
