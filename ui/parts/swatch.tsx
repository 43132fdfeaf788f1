/** The colour and dash of a run, beside its name. */
import { colorOf, dashOf } from './colors.js';

export function Swatch({ place }: { readonly place: number }) {
  return (
    <svg class="swatch" width="24" height="8" aria-hidden="true">
      <line
        x1="0"
        x2="24"
        y1="4"
        y2="4"
        stroke={colorOf(place)}
        stroke-width="3"
        stroke-dasharray={dashOf(place).join(' ')}
      />
    </svg>
  );
}
