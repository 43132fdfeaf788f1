/** The results of an evaluation as a table. */
import type { Evaluation } from './evaluation-run.js';

export function evaluationText({ model, pictures, seeds, size, config, scores, cost, latency }: Evaluation): string {
  const n = (value: number): string => value.toLocaleString('en-US');
  const { num_inference_steps: steps, guidance_scale: guidance, guidance_rescale: rescale } = config.val_cfg;
  const against = [
    pictures.reference > 0 ? `${n(pictures.reference)} reference pictures` : '',
    pictures.instances > 0 ? `${n(pictures.instances)} of the subject` : '',
  ].filter((part) => part !== '');
  return [
    ...(model === null
      ? []
      : [`model       ${model.base}${model.checkpoint === null ? '' : ` with ${model.checkpoint}`}`]),
    `pictures    ${n(pictures.generated_per_seed)} of ${size.width}x${size.height} per seed (${seeds.join(', ')})${model === null ? '' : `, ${steps} steps, guidance ${guidance}${rescale > 0 ? ` rescaled by ${rescale}` : ''}`}${against.length > 0 ? `; against ${against.join(' and ')}` : ''}`,
    ...(cost === null
      ? []
      : [
          `parameters  U-Net ${n(cost.parameters.unet)}, text encoder ${n(cost.parameters.text_encoder)}, VAE ${n(cost.parameters.vae)}`,
          `arithmetic  ${giga(cost.macs)} GMACs per U-Net evaluation${guidance > 1 ? `, ${giga(2 * cost.macs)} per guided step` : ''}`,
        ]),
    ...(latency === null
      ? []
      : [
          `latency     ${latency.median_ms.toPrecision(3)} ms per ${latency.guided ? 'guided ' : ''}step, median of ${latency.runs} (${latency.machine})`,
        ]),
    '',
    ...scoreTable(scores, config.val_cfg.interval === 'bootstrap' ? '95 % over pictures' : '95 % over seeds'),
  ].join('\n');
}

const giga = (macs: number): string => (macs / 1e9).toPrecision(4);

type Row = Pick<Evaluation['scores'][number], 'name' | 'better' | 'value' | 'half_width_95'>;

/**
 * An arrow says where better is. Bounds that a metric gives itself, as `x low` and `x high`, stand in for an interval that
 * one seed cannot give.
 */
export function scoreTable(scores: readonly Row[], heading: string): string[] {
  const isBound = (name: string): boolean =>
    / (low|high)$/.test(name) && scores.some((other) => other.name === name.replace(/ \w+$/, ''));
  const alone = (name: string): string => {
    const [low, high] = ['low', 'high'].map((side) => scores.find((other) => other.name === `${name} ${side}`));
    return low && high ? `${digits(low.value, null)} to ${digits(high.value, null)}, over pictures` : 'one seed';
  };
  const rows = [
    ['', 'value', heading],
    ...scores
      .filter(({ name }) => !isBound(name))
      .map(({ name, better, value, half_width_95: half }) => [
        `${name} ${better === 'higher' ? '↑' : '↓'}`,
        digits(value, half),
        half === null
          ? alone(name)
          : `± ${digits(half, half)}   ${digits(value - half, half)} to ${digits(value + half, half)}`,
      ]),
  ];
  const width = (column: number): number => Math.max(...rows.map((row) => row[column].length));
  return rows.map(([name, value, interval]) =>
    `${name.padEnd(width(0))}  ${value.padStart(width(1))}  ${interval}`.trimEnd(),
  );
}

/** As many digits as the interval allows, and one more; four of a value without one. */
function digits(value: number, halfWidth: number | null): string {
  if (halfWidth === null || halfWidth === 0) return value.toPrecision(4);
  return value.toFixed(Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(halfWidth)))));
}
