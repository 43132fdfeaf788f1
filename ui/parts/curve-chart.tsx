/** One scalar of one or several runs over the iterations: hover to read, drag to zoom. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type uPlot from 'uplot';
import { columns, smooth, valueAt, type Columns, type Curve } from './curves.js';
import { prefersDark } from './colors.js';
import { isZoomed, makePlot, renew, resetZoom, zoomBy } from './plot.js';
import { Swatch } from './swatch.js';
import { number } from './words.js';
import './curve-chart.css';

interface Props {
  readonly label: string;
  readonly curves: readonly Curve[];
  /** weight of the running mean, 0 for none */
  readonly smoothing: number;
  readonly log: boolean;
}

export function CurveChart({ label, curves, smoothing, log }: Props) {
  const target = useRef<HTMLDivElement>(null),
    plot = useRef<uPlot>(undefined);
  const [row, setRow] = useState<number | null>(null),
    [zoomed, setZoomed] = useState(false),
    [scheme, setScheme] = useState(prefersDark().matches);
  const smoothed = smoothing > 0;
  const data = useMemo<Columns>(
    () =>
      columns(
        curves.flatMap((curve) =>
          smoothed ? [curve, { iter: curve.iter, value: smooth(curve.value, smoothing) }] : [curve],
        ),
        log,
      ),
    [curves, smoothing, log],
  );
  const few = data[0].length <= 40;
  const shape = JSON.stringify([curves.map(({ place }) => place), smoothed, log, scheme, few]);
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    const query = prefersDark(),
      turn = (): void => setScheme(query.matches);
    query.addEventListener('change', turn);
    return () => query.removeEventListener('change', turn);
  }, []);
  useEffect(() => {
    const box = target.current!;
    const made = makePlot(
      box,
      latest.current as uPlot.AlignedData,
      curves.map(({ place }) => place),
      { smoothed, log },
      { onHover: setRow, onZoom: setZoomed },
    );
    plot.current = made;
    const sized = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, box.clientWidth), height: box.clientHeight }),
    );
    sized.observe(box);
    return () => {
      sized.disconnect();
      made.destroy();
      setZoomed(false);
    };
  }, [shape]);
  useEffect(() => {
    if (plot.current && plot.current.data !== (data as uPlot.AlignedData))
      renew(plot.current, data as uPlot.AlignedData);
  }, [data]);

  const keys = (event: KeyboardEvent): void => {
    const shown = plot.current;
    if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (event.shiftKey ? 10 : 1) * Math.max(1, Math.round(data[0].length / 200));
    const to = (at: number): void => point(shown, Math.min(data[0].length - 1, Math.max(0, at)));
    const acts: Record<string, () => void> = {
      ArrowLeft: () => to((row ?? data[0].length) - step),
      ArrowRight: () => to((row ?? -1) + step),
      Home: () => to(0),
      End: () => to(data[0].length - 1),
      '+': () => zoomBy(shown, 0.5, row),
      '-': () => zoomBy(shown, 2, row),
      '0': () => resetZoom(shown),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  const empty = data[0].length === 0;
  const at = row === null ? data[0].at(-1) : data[0][row];
  return (
    <figure class="curve-chart">
      <div
        ref={target}
        class="canvas"
        tabIndex={0}
        role="group"
        aria-roledescription="chart"
        aria-label={`${label} over iterations. Arrow keys read values, plus and minus zoom, 0 shows all.`}
        onKeyDown={keys}
        onBlur={() => setRow(null)}
      />
      {empty && <p class="nothing">No values yet. They come with the first iterations.</p>}
      <button
        type="button"
        class="small reset"
        hidden={!zoomed}
        onClick={() => plot.current && resetZoom(plot.current)}
      >
        Show all
      </button>
      <figcaption aria-live="off">
        <span class="where">{at === undefined ? 'iteration –' : `iteration ${number(at)}`}</span>
        {curves.map((curve, i) => (
          <span class="key" key={curve.place}>
            <Swatch place={curve.place} />
            <span class="name">{curve.name}</span>
            <b>{number(valueAt(data[smoothed ? 2 + 2 * i : 1 + i] as (number | null)[], row))}</b>
            {smoothed && <small>{number(valueAt(data[1 + 2 * i] as (number | null)[], row))} unsmoothed</small>}
          </span>
        ))}
      </figcaption>
    </figure>
  );
}

/** Moves the cursor to a row, into view. */
function point(plot: uPlot, row: number): void {
  const iter = plot.data[0][row];
  if (iter === undefined) return;
  const { min, max } = plot.scales['x']!;
  if (isZoomed(plot) && (iter < min! || iter > max!))
    plot.setScale('x', { min: iter - (max! - min!) / 2, max: iter + (max! - min!) / 2 });
  plot.setCursor({ left: plot.valToPos(iter, 'x'), top: plot.over.clientHeight / 2 });
}
