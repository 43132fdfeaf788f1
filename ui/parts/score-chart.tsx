/** Values of a metric over the iterations, each with its 95 % interval as a bar; the best one is ringed. */
import type { Score } from '../../src/runs/run-view.js';
import { colorOf, dashOf } from './colors.js';
import { moment, number, scoreValue } from './words.js';

interface Line {
  readonly name: string;
  readonly place: number;
  readonly points: readonly (Pick<Score, 'value' | 'halfWidth'> & { readonly iter: number })[];
  readonly best: number | undefined;
}

const WIDTH = 360,
  HEIGHT = 170,
  LEFT = 44,
  RIGHT = 12,
  TOP = 10,
  BOTTOM = 24;

export function ScoreChart({ metric, lines }: { readonly metric: string; readonly lines: readonly Line[] }) {
  const all = lines.flatMap(({ points }) => points);
  const ends = all.flatMap(({ value, halfWidth }) => [value - (halfWidth ?? 0), value + (halfWidth ?? 0)]);
  const low = Math.min(...ends),
    high = Math.max(...ends),
    first = Math.min(...all.map(({ iter }) => iter)),
    last = Math.max(...all.map(({ iter }) => iter));
  const px = (iter: number): number =>
    first === last
      ? (LEFT + WIDTH - RIGHT) / 2
      : LEFT + 8 + ((iter - first) / (last - first)) * (WIDTH - LEFT - RIGHT - 16);
  const py = (value: number): number => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const said = lines.map(
    ({ name, points }) => `${name}: ${points.map((p) => `${scoreValue(p)} ${moment(p.iter)}`).join(', ')}`,
  );
  return (
    <svg class="score-chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${metric}. ${said.join('. ')}`}>
      {[low, (low + high) / 2, high].map((value, i) => (
        <g key={i}>
          <line class="grid" x1={LEFT} x2={WIDTH - RIGHT} y1={py(value)} y2={py(value)} />
          <text x={LEFT - 6} y={py(value) + 4} text-anchor="end">
            {value.toFixed(2)}
          </text>
        </g>
      ))}
      <text x={px(first)} y={HEIGHT - 6} text-anchor={first === last ? 'middle' : 'start'}>
        {first < 0 ? 'before' : number(first)}
      </text>
      {first !== last && (
        <text x={px(last)} y={HEIGHT - 6} text-anchor="end">
          iteration {number(last)}
        </text>
      )}
      {lines.map(({ name, place, points, best }) => (
        <g key={place} stroke={colorOf(place)} fill="none">
          <polyline
            points={points.map(({ iter, value }) => `${px(iter)},${py(value)}`).join(' ')}
            stroke-width="1.5"
            stroke-dasharray={dashOf(place).join(' ')}
          />
          {points.map(({ iter, value, halfWidth }) => (
            <g key={iter}>
              <title>{`${name}, ${moment(iter)}: ${scoreValue({ value, halfWidth })}`}</title>
              {halfWidth != null && (
                <path
                  d={`M${px(iter)} ${py(value - halfWidth)}V${py(value + halfWidth)}m-4 0h8m-4 0V${py(value - halfWidth)}m-4 0h8`}
                />
              )}
              <circle cx={px(iter)} cy={py(value)} r="3.5" fill={colorOf(place)} />
              {iter === best && <circle cx={px(iter)} cy={py(value)} r="7" stroke-width="1.5" />}
            </g>
          ))}
        </g>
      ))}
    </svg>
  );
}
