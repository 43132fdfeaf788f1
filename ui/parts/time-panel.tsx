/** What the time of a run went into, the longest first. */
import type { RunView } from '../../src/runs/run-view.js';
import { colorOf } from './colors.js';
import { duration } from './words.js';
import './time-panel.css';

export function TimePanel({ phases }: { readonly phases: RunView['phases'] }) {
  const rows = Object.entries(phases)
    .filter(([, seconds]) => seconds >= 0.005)
    .sort((a, b) => b[1] - a[1]);
  const total = rows.reduce((sum, [, seconds]) => sum + seconds, 0);
  if (rows.length === 0) return <p class="nothing">Known once the run saves its first checkpoint.</p>;
  return (
    <table class="time-panel">
      <caption>{duration(total)} in all, of the last start</caption>
      <tbody>
        {rows.map(([name, seconds]) => (
          <tr key={name}>
            <th scope="row">{name.replace(/Hook$/, '')}</th>
            <td class="number">{duration(seconds)}</td>
            <td class="number">{share(seconds / total)}</td>
            <td class="bar" aria-hidden="true">
              <span style={{ width: `${(100 * seconds) / rows[0]![1]}%`, background: colorOf(0) }} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const share = (part: number): string => (part < 0.01 ? '< 1 %' : `${Math.round(100 * part)} %`);
