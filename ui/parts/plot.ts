/** uPlot, set up for the curves of runs: two series per run, the values faint below their running mean. */
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { colorOf, dashOf } from './colors.js';
import { number } from './words.js';

export interface PlotEvents {
  /** @param row of the data below the pointer; null: it left */
  readonly onHover: (row: number | null) => void;
  readonly onZoom: (zoomed: boolean) => void;
}

/** @param places of the runs, in the order of the columns @param smoothed there are two columns per run: values, then mean */
export function makePlot(
  target: HTMLElement,
  data: uPlot.AlignedData,
  places: readonly number[],
  { smoothed, log }: { readonly smoothed: boolean; readonly log: boolean },
  { onHover, onZoom }: PlotEvents,
): uPlot {
  const style = getComputedStyle(target),
    ink = style.getPropertyValue('--soft').trim(),
    line = style.getPropertyValue('--line').trim();
  const axis: uPlot.Axis = {
    stroke: ink,
    font: '12px system-ui, sans-serif',
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
  };
  const series = places.flatMap((place): uPlot.Series[] => {
    const stroke = colorOf(place),
      few = data[0].length <= 40;
    const strong: uPlot.Series = {
      stroke,
      width: 2,
      dash: dashOf(place),
      spanGaps: true,
      points: { show: few, size: 5, fill: stroke },
    };
    const faint: uPlot.Series = { stroke: `${stroke}55`, width: 1, spanGaps: true, points: { show: false } };
    return smoothed ? [faint, strong] : [strong];
  });
  const plot: uPlot = new uPlot(
    {
      width: Math.max(200, target.clientWidth),
      height: target.clientHeight,
      legend: { show: false },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
      axes: [
        {
          ...axis,
          size: 30,
          space: 70,
          values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? number(t) : '')),
        },
        // As wide for every number, so that nothing moves while a run goes on.
        { ...axis, size: 62, values: (_, ticks) => ticks.map((t) => (t === null ? '' : shortNumber(t))) },
      ],
      series: [{}, ...series],
      cursor: { y: false, drag: { x: true, y: false, setScale: true }, points: { show: !smoothed, size: 7 } },
      padding: [10, 12, 0, 0],
      hooks: {
        setCursor: [(u) => onHover(u.cursor.idx ?? null)],
        setScale: [(u, key) => key === 'x' && onZoom(isZoomed(u))],
      },
    },
    data,
    target,
  );
  return plot;
}

/** Whether a part of the data is shown only. */
export function isZoomed(plot: uPlot): boolean {
  const axis = plot.data[0],
    { min, max } = plot.scales['x']!;
  return axis.length > 1 && (min! > axis[0]! || max! < axis[axis.length - 1]!);
}

/** New values in a plot that shows the same runs: it keeps the part that is looked at. */
export function renew(plot: uPlot, data: uPlot.AlignedData): void {
  if (!isZoomed(plot)) return plot.setData(data);
  const { min, max } = plot.scales['x']!;
  plot.batch(() => {
    plot.setData(data, false);
    plot.setScale('x', { min: min!, max: max! });
  });
}

export function resetZoom(plot: uPlot): void {
  const axis = plot.data[0];
  plot.setScale('x', { min: axis[0]!, max: axis[axis.length - 1]! });
}

/** Halves or doubles the part that is shown. @param factor of its width @param row in its middle */
export function zoomBy(plot: uPlot, factor: number, row: number | null): void {
  const axis = plot.data[0],
    { min, max } = plot.scales['x']!,
    middle = row === null ? (min! + max!) / 2 : axis[row]!;
  const half = ((max! - min!) * factor) / 2;
  plot.setScale('x', {
    min: Math.max(axis[0]!, middle - half),
    max: Math.min(axis[axis.length - 1]!, middle + half),
  });
}

/** Of an axis: "0.05", "2e-3" */
const shortNumber = (value: number): string =>
  value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 1e5)
    ? value.toExponential().replace(/(\.\d\d)\d+/, '$1')
    : String(Number(value.toPrecision(4)));
