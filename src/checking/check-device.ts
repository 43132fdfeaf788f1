/** Does a device compute what the reference and the CPU compute? For `diffengine doctor --check`. */
import type { DeviceName } from '../backends/onnxruntime/devices.js';
import type { Backend } from '../backends/backend.js';
import { ReferenceBackend } from '../backends/reference/reference-backend.js';
import { SILENT } from '../base/logger.js';
import { buildBackend } from '../engine/build-backend.js';
import { UserError } from '../base/errors.js';
import { relativeError } from './sample-inputs.js';
import { gradientSweep, halfSweep, valueSweep, type Sweep } from './sweep-programs.js';
import { STEPS, SmallRun } from './small-run.js';

/** One line of the report. */
export interface Checked {
  readonly what: string;
  /** with numbers */
  readonly found: string;
  /** undefined: told, not judged */
  readonly isGood: boolean | undefined;
}

/** Largest error over largest value. 32 bits: sums in another order, and sines by polynomials. 16 bits: of products. */
const LIMIT = 1e-4,
  HALF_LIMIT = 2e-3;
/** Levels of 255 by which a pixel may differ: rounded to another side. */
const PIXEL_LIMIT = 2;
const MEMORY_STEPS = 50,
  WARM_UP = 10;
/** Growth of a process that keeps nothing: heaps that are not tidied up yet. */
const MEMORY_LIMIT = 64 * 2 ** 20;

/** @param model folder of a small pipeline @throws UserError when the device is not there */
export async function* checkDevice(
  device: DeviceName,
  deviceId: number | undefined,
  model: string,
): AsyncGenerator<Checked> {
  const open = (name: DeviceName, id?: number): Backend =>
    buildBackend({ type: 'OnnxRuntimeBackend', device: name, ...(id === undefined ? {} : { device_id: id }) }, SILENT);
  const tested = open(device, deviceId),
    cpu = open('cpu'),
    reference = new ReferenceBackend({});
  try {
    yield await compare('values of all primitives', valueSweep(), tested, reference, LIMIT);
    yield await compare('gradients of all primitives', gradientSweep(), tested, reference, LIMIT);
    yield await compareHalves(tested, reference);
    const [here, there] = [new SmallRun(tested, model), new SmallRun(cpu, model)];
    await here.open();
    await there.open();
    yield* trained(here, there);
    yield await drawn(here, there);
    yield* steady(here);
    await here.close();
    await there.close();
  } finally {
    await tested.dispose();
    await cpu.dispose();
    await reference.dispose();
  }
}

async function compare(
  what: string,
  { program, feeds }: Sweep,
  tested: Backend,
  reference: Backend,
  limit: number,
): Promise<Checked> {
  const [got, wanted] = [
    await (await tested.compile(program)).run(feeds),
    await (await reference.compile(program)).run(feeds),
  ];
  const errors = Object.keys(program.outputs)
    .map((key) => ({ key, error: relativeError(got[key].data as Float32Array, wanted[key].data as Float32Array) }))
    // What is no number is the worst.
    .sort((a, b) => (Number.isNaN(b.error) ? 1 : Number.isNaN(a.error) ? -1 : b.error - a.error));
  const worst = errors.slice(0, 3).map(({ key, error }) => `${key} ${error.toExponential(1)}`);
  const bad = errors.filter(({ error }) => !(error <= limit)).length;
  return {
    what,
    found: `${errors.length} compared${bad > 0 ? `, ${bad} beyond ${limit.toExponential(0)}` : ''}; largest differences: ${worst.join(', ')}`,
    isGood: bad === 0,
  };
}

async function compareHalves(tested: Backend, reference: Backend): Promise<Checked> {
  const what = 'products in 16 bits';
  return compare(what, halfSweep(), tested, reference, HALF_LIMIT).catch((error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    return { what, found: `not there: ${error.message}`, isGood: undefined };
  });
}

async function* trained(here: SmallRun, there: SmallRun): AsyncGenerator<Checked> {
  let loss = 0,
    norm = 0,
    last = 0;
  for (let i = 0; i < STEPS; i++) {
    const [got, wanted] = [await here.step(i), await there.step(i)];
    loss = worse(loss, Math.abs(got['loss'] - wanted['loss']) / Math.abs(wanted['loss']));
    norm = worse(norm, Math.abs(got['grad_norm'] - wanted['grad_norm']) / Math.abs(wanted['grad_norm']));
    last = got['loss'];
  }
  const weights = relativeError(await here.weights(), await there.weights());
  yield {
    what: `${STEPS} LoRA steps against the CPU`,
    found: `losses differ by ${loss.toExponential(1)} of their size (the last is ${last.toPrecision(6)}), gradient norms by ${norm.toExponential(1)}, trained weights by ${weights.toExponential(1)}`,
    isGood: loss <= LIMIT && norm <= 10 * LIMIT && weights <= 100 * LIMIT,
  };
}

/** As Math.max, but what is no number stays. */
const worse = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? NaN : Math.max(a, b));

async function drawn(here: SmallRun, there: SmallRun): Promise<Checked> {
  const [got, wanted] = [await here.draw(), await there.draw()];
  const off = got.reduce((most, v, i) => Math.max(most, Math.abs(v - wanted[i])), 0);
  return {
    what: 'a picture against the CPU',
    found: `pixels differ by at most ${off} of 255`,
    isGood: off <= PIXEL_LIMIT,
  };
}

async function* steady(run: SmallRun): AsyncGenerator<Checked> {
  // Smaller than those that are compared: drivers that compute on the CPU need seconds for each.
  const step = (i: number): Promise<unknown> => run.step(STEPS + i, 32, 1);
  for (let i = 0; i < WARM_UP; i++) await step(i);
  const before = process.memoryUsage.rss(),
    times: number[] = [];
  for (let i = 0; i < MEMORY_STEPS; i++) {
    const start = performance.now();
    await step(WARM_UP + i);
    times.push(performance.now() - start);
  }
  const grown = process.memoryUsage.rss() - before;
  yield {
    what: `memory of the process over ${MEMORY_STEPS} steps`,
    found: `${(before / 2 ** 20).toFixed(0)} MiB, then ${grown >= 0 ? '+' : ''}${(grown / 2 ** 20).toFixed(0)} MiB`,
    isGood: grown <= MEMORY_LIMIT,
  };
  times.sort((a, b) => a - b);
  const at = (share: number): string => `${times[Math.floor(share * (times.length - 1))].toFixed(1)} ms`;
  yield {
    what: 'time of a small LoRA step',
    found: `median ${at(0.5)}, ${at(0.1)} to ${at(0.9)} for 8 of 10`,
    isGood: undefined,
  };
}

/** What a user may send: all lines hold, or which do not. */
export function verdict(checks: readonly Checked[]): string {
  const bad = checks.filter(({ isGood }) => isGood === false);
  return bad.length === 0
    ? 'good: it computes what the reference and the CPU compute'
    : `NOT GOOD: ${bad.map(({ what }) => what).join('; ')}`;
}
