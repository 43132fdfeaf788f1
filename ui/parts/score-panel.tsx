/** How pictures were measured before, during and after training, with intervals where several seeds were drawn. */
import type { RunView, Score } from '../../src/runs/run-view.js';
import { ScoreChart } from './score-chart.js';
import { Swatch } from './swatch.js';
import { moment, scoreMeaning, scoreValue } from './words.js';
import './scores.css';

export interface ScoreRun {
  readonly name: string;
  readonly place: number;
  readonly view: Pick<RunView, 'evaluations' | 'best'>;
}

export function ScorePanel({ runs }: { readonly runs: readonly ScoreRun[] }) {
  const metrics = new Map<string, Score['better']>();
  for (const { view } of runs)
    for (const { scores } of view.evaluations) for (const { name, better } of scores) metrics.set(name, better);
  if (metrics.size === 0)
    return (
      <p class="nothing">
        Nothing was measured yet. An EvaluationHook in the config measures pictures before, during and after training.
      </p>
    );
  return (
    <div class={runs.length > 1 ? 'score-panel several' : 'score-panel'}>
      {[...metrics].map(([metric, better]) => (
        <section key={metric} aria-label={metric}>
          <h3>
            {metric} <small>{[`${better} is better`, scoreMeaning(metric)].filter(Boolean).join(' · ')}</small>
          </h3>
          <ScoreChart
            metric={metric}
            lines={runs.map(({ name, place, view }) => ({
              name,
              place,
              points: pointsOf(view, metric),
              best: view.best?.name === metric ? view.best.iter : undefined,
            }))}
          />
          <div class="wide">
            <ScoreTable metric={metric} better={better} runs={runs} />
          </div>
        </section>
      ))}
    </div>
  );
}

const pointsOf = (view: ScoreRun['view'], metric: string) =>
  view.evaluations.flatMap(({ iter, scores }) => {
    const score = scores.find(({ name }) => name === metric);
    return score ? [{ iter, ...score }] : [];
  });

function ScoreTable({
  metric,
  better,
  runs,
}: {
  readonly metric: string;
  readonly better: Score['better'];
  readonly runs: readonly ScoreRun[];
}) {
  return (
    <table class="data">
      <thead>
        <tr>
          {runs.length > 1 && <th scope="col">Run</th>}
          <th scope="col">Before</th>
          <th scope="col">Best</th>
          <th scope="col">Last</th>
        </tr>
      </thead>
      <tbody>
        {runs.map(({ name, place, view }) => {
          const points = pointsOf(view, metric),
            before = points.find(({ iter }) => iter < 0),
            later = points.filter(({ iter }) => iter >= 0);
          const sign = better === 'higher' ? 1 : -1;
          const best = later.reduce<(typeof later)[number] | undefined>(
            (top, point) => (top === undefined || sign * (point.value - top.value) > 0 ? point : top),
            undefined,
          );
          return (
            <tr key={place}>
              {runs.length > 1 && (
                <th scope="row">
                  <Swatch place={place} /> <span class="run">{name}</span>
                </th>
              )}
              <td>{before ? scoreValue(before) : '–'}</td>
              <td>
                {best ? scoreValue(best) : '–'}
                {best && <small>{moment(best.iter)}</small>}
              </td>
              <td>{later.length > 0 ? scoreValue(later.at(-1)!) : '–'}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
