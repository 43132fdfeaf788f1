/** A curve as SVG text, readable without scripts. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

const WIDTH = 900,
  HEIGHT = 300,
  LEFT = 60,
  BOTTOM = 30,
  TOP = 10;
/** More points than this are averaged in groups: a loss per iteration is mostly noise. */
const MAX_POINTS = 300;
/** Fewer points than this are shown as such, too. */
const FEW = 60;

/** @param points ascending x @param what it shows, for readers who do not see it @param marked a point to point out, by its x */
export function lineChart(points: readonly Point[], what = 'loss over iterations', marked?: number): string {
  if (points.length === 0) return '<p>No values yet.</p>';
  const drawn = averaged(points);
  const low = Math.min(...drawn.map((p) => p.y)),
    high = Math.max(...drawn.map((p) => p.y));
  const first = points[0].x,
    last = points[points.length - 1].x;
  const px = (x: number): number => LEFT + ((x - first) / Math.max(last - first, 1)) * (WIDTH - LEFT - 10);
  const py = (y: number): number => TOP + (1 - (y - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const path = drawn.map((p) => `${px(p.x).toFixed(1)},${py(p.y).toFixed(1)}`).join(' ');
  const dots = drawn
    .filter(() => drawn.length < FEW)
    .map(
      ({ x, y }) =>
        `<circle cx="${px(x).toFixed(1)}" cy="${py(y).toFixed(1)}" r="${x === marked ? 6 : 2.5}" fill="${x === marked ? '#c2410c' : '#1668b8'}"><title>${x}: ${y.toPrecision(3)}</title></circle>\n`,
    )
    .join('');
  const label = (x: number, y: number, anchor: string, text: string): string =>
    `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="12" fill="#666">${text}</text>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escapeHtml(what)}">
<path d="M${LEFT} ${TOP}V${HEIGHT - BOTTOM}H${WIDTH - 10}" fill="none" stroke="#999"/>
<polyline points="${path}" fill="none" stroke="#1668b8" stroke-width="1.5"/>
${dots}${label(LEFT - 6, TOP + 10, 'end', high.toPrecision(3))}${label(LEFT - 6, HEIGHT - BOTTOM, 'end', low.toPrecision(3))}
${label(LEFT, HEIGHT - 10, 'start', String(first))}${label(WIDTH - 10, HEIGHT - 10, 'end', String(last))}
</svg>`;
}

function averaged(points: readonly Point[]): Point[] {
  const size = Math.ceil(points.length / MAX_POINTS);
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const group = points.slice(i * size, (i + 1) * size);
    return { x: mean(group.map((p) => p.x)), y: mean(group.map((p) => p.y)) };
  });
}

export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c] ?? c);
