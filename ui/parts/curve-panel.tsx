/** The curves of the runs that are shown, and what one may choose about them. */
import { useMemo, useState } from 'preact/hooks';
import type { Scalars } from '../../src/runs/run-view.js';
import { CurveChart } from './curve-chart.js';
import type { Curve } from './curves.js';
import { scalarName } from './words.js';

export interface CurveRun {
  readonly name: string;
  readonly place: number;
  readonly scalars: Scalars;
}

/** Shown first, in this order, where there are more. */
const FIRST = ['loss', 'lr', 'grad_norm'];
/** The page smooths itself. */
const DERIVED = /(^|\/)loss_smooth$/;

export function CurvePanel({ runs }: { readonly runs: readonly CurveRun[] }) {
  const [chosen, choose] = useState<string>(),
    [smoothing, setSmoothing] = useState(0.9),
    [log, setLog] = useState(false);
  const names = scalarNames(runs),
    name = chosen !== undefined && names.includes(chosen) ? chosen : (names[0] ?? 'loss');
  const curves = useMemo<Curve[]>(
    () =>
      runs.map(({ name: run, place, scalars }) => ({
        name: run,
        place,
        ...(scalars[name] ?? { iter: [], value: [] }),
      })),
    [name, ...runs.flatMap(({ name: run, place, scalars }) => [run, place, scalars[name]])],
  );
  // A learning rate is exact; to smooth it would show what never was.
  const weight = name === 'lr' ? 0 : smoothing;
  return (
    <div class="curve-panel">
      <div class="controls">
        <label>
          Curve{' '}
          <select value={name} onChange={(e) => choose(e.currentTarget.value)}>
            {(names.length > 0 ? names : [name]).map((n) => (
              <option value={n} key={n}>
                {scalarName(n)}
              </option>
            ))}
          </select>
        </label>
        <label>
          Smoothing{' '}
          <input
            type="range"
            min="0"
            max="0.99"
            step="0.01"
            value={weight}
            disabled={name === 'lr'}
            onInput={(e) => setSmoothing(Number(e.currentTarget.value))}
          />
          <output>{weight.toFixed(2)}</output>
        </label>
        <label>
          <input type="checkbox" checked={log} onChange={(e) => setLog(e.currentTarget.checked)} /> Logarithmic
        </label>
        <small class="hint">Drag over the chart to zoom, double-click to see all.</small>
      </div>
      <CurveChart label={scalarName(name)} curves={curves} smoothing={weight} log={log} />
    </div>
  );
}

/** What some run has values of, loss first. */
function scalarNames(runs: readonly CurveRun[]): string[] {
  const all = [...new Set(runs.flatMap(({ scalars }) => Object.keys(scalars)))].filter((name) => !DERIVED.test(name));
  const rank = (name: string): number => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length);
  return all.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}
