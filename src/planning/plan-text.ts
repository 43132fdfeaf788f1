/** A plan as lines to read, and what to do when it does not fit. */
import type { MemoryPlan, Plan } from './plan.js';

/** 640 MiB, 5.66 GiB, 20.8 GiB */
export const size = (bytes: number): string =>
  bytes < 2 ** 30
    ? `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 1 : 0)} MiB`
    : `${(bytes / 2 ** 30).toFixed(bytes < 10 * 2 ** 30 ? 2 : 1)} GiB`;
const whole = (n: number): string => Math.round(n).toLocaleString('en-US');

/** 1.23 G, 456 M; three digits. */
export function short(n: number): string {
  const units = ['', ' K', ' M', ' G', ' T', ' P', ' E'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, n)) / 3))),
    value = n / 1000 ** power;
  return `${value >= 100 || power === 0 ? value.toFixed(0) : value.toPrecision(3)}${units[power]}`;
}

export function duration(seconds: number): string {
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
  if (seconds < 7200) return `${(seconds / 60).toFixed(0)} min`;
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(1)} h` : `${(seconds / 86_400).toFixed(1)} days`;
}

const timed = (seconds: number | undefined): string => (seconds === undefined ? '' : `, ${duration(seconds)}`);

const PARTS: readonly (readonly [Exclude<keyof MemoryPlan, 'peak'>, string])[] = [
  ['process', 'process and compiled programs'],
  ['mapped', 'weights in place of their files'],
  ['copies', 'weights copied as float32'],
  ['activations', 'results and scratch of the programs'],
  ['states', 'trained values, optimizer, averages'],
  ['caches', 'pictures and latents kept'],
];

/** Whose memory is played through. */
const PLAYED = 'OnnxRuntimeBackend cpu';

/** @param limit bytes there are @param available of them free now, when it is this machine's memory */
export function planText(plan: Plan, limit: number, available?: number): string {
  const { model, batch, step, sampling, memory, speed, total } = plan;
  const update = batch.accumulated > 1 ? `, an update after every ${batch.accumulated}` : '';
  const lines = [
    `model        ${model.type}: ${whole(model.trained)} trained and ${whole(model.frozen)} frozen parameters`,
    ...plan.downloads.map(({ id, bytes }) => `download     ${id}: ${(bytes / 1e9).toPrecision(3)} GB`),
    `step         ${batch.rows} pictures of ${batch.width} x ${batch.height} px: ${short(step.macs)} multiply-adds, ${short(step.flops)} operations${timed(step.seconds)}`,
    ...(sampling
      ? [
          `drawing      ${short(sampling.macs)} multiply-adds, ${short(sampling.flops)} operations${timed(sampling.seconds)} for each step of a picture`,
        ]
      : []),
    `job          ${whole(batch.iterations)} iterations${update}: ${short(total.flops)} operations${timed(total.seconds)}`,
    ...plan.phases.map(({ phase, flops, seconds, programs }) => {
      const runs = programs.map((p) => `${p.name} x ${whole(p.runs)}`).join(', ');
      return `  ${phase.padEnd(20)} ${`${short(flops)} operations${timed(seconds)}`.padEnd(30)} ${runs}`;
    }),
    `memory       ${size(memory.peak)} at most, of ${size(limit)}${available === undefined ? '' : ` (${size(available)} free now)`}${plan.backend === PLAYED ? '' : `, were it ${PLAYED}`}`,
    ...PARTS.filter(([key]) => memory[key] > 0).map(([key, what]) => `  ${size(memory[key]).padStart(10)}  ${what}`),
    ...(speed
      ? [
          `measured     ${speed.gflopsPerSecond.toFixed(0)} GFLOP/s, ${speed.gigabytesPerSecond.toFixed(0)} GB/s; times are as good as this second was quiet`,
        ]
      : []),
  ];
  return lines.join('\n');
}

/** What would make it smaller, the most effective first. @param lighter the peak at one picture at a time, when that was tried */
export function advice(plan: Plan, lighter: { readonly options: string; readonly peak: number } | undefined): string[] {
  const { memory, phases } = plan,
    found: [saved: number, text: string][] = [];
  const held = (phase: string): number =>
    phases
      .filter((p) => p.phase === phase)
      .flatMap((p) => p.programs)
      .reduce((n, p) => n + p.arenaBytes + p.copiesBytes, 0);
  if (lighter && lighter.peak < 0.98 * memory.peak)
    found.push([memory.peak - lighter.peak, `${lighter.options} (the same updates) takes ${size(lighter.peak)}`]);
  if (memory.states > 0.25 * memory.peak)
    found.push([
      0.9 * memory.states,
      `LoRA (model.unet_lora_config) instead of all parameters saves up to ${size(0.9 * memory.states)} of optimizer state`,
    ]);
  const drawn = held('validation pictures');
  if (drawn > 0.05 * memory.peak)
    found.push([
      drawn,
      `no validation pictures (custom_hooks.preview=null), or smaller ones, saves up to ${size(drawn)}`,
    ]);
  const made = held('class pictures');
  if (made > 0.05 * memory.peak)
    found.push([made, `class pictures of your own (class_image.data_dir) save up to ${size(made)}`]);
  if (memory.activations > 0.2 * memory.peak)
    found.push([
      memory.activations / 2,
      `smaller pictures: half the height and width takes about a quarter of the ${size(memory.activations)} of results`,
    ]);
  const lines = found.sort(([a], [b]) => b - a).map(([, text]) => text);
  return lines.length > 0 ? lines : ['a smaller model'];
}
