/** What a run will cost, said before it begins: shorter than a plan, and with the options that change it most. */
import { SILENT, type Logger } from '../base/logger.js';
import { isTree, type Tree } from '../registry/merge.js';
import { fitting } from './fit.js';
import { machineMemory, plan, type Plan } from './plan.js';
import { duration, short, size as bytes } from './plan-text.js';

/** Seconds of measuring; a plan takes a second. */
const MEASURING = 0.3;
/** What is longer is said first. */
const LONG_SECONDS = 3600;
/** Who waits for less needs no advice. */
const WORTH_SECONDS = 60;
const MOST_ADVICE = 3;

export interface EstimateOptions {
  /** merged and validated; components must be loaded */
  readonly config: Tree;
  /** the config's `size`, when values take it */
  readonly size: number | undefined;
  /** iterations that a resumed run has behind it */
  readonly done: number;
  readonly log: Logger;
}

/** Says it in the log. What stands in the way is left to the run itself, which says it better. */
export async function foretell({ config, size, done, log }: EstimateOptions): Promise<void> {
  const ahead = withIterations(config, iterations(config) - done);
  try {
    // Only this backend is sure to be fast enough for a measurement.
    const quick = ((config['backend'] as Tree | undefined)?.['type'] ?? MEASURED) === MEASURED;
    const made = await plan({ config: ahead, log: SILENT, calibrationSeconds: quick ? MEASURING : 0 });
    const { seconds } = made.total,
      { limit } = machineMemory();
    if (seconds !== undefined && seconds > LONG_SECONDS)
      log.warn(`this run will take about ${duration(seconds)} on this machine; Ctrl-C saves a checkpoint and ends it`);
    for (const line of estimateLines(made, config, size, limit)) log.info(line);
    const misfit = await fitting(made, ahead, limit, SILENT);
    if (misfit) log.warn(misfit.message);
  } catch (error) {
    log.debug(`no estimate: ${(error as Error).message}`);
  }
}

const MEASURED = 'OnnxRuntimeBackend';
const LABEL = 11;

/** @param limit bytes of memory there are */
export function estimateLines(made: Plan, config: Tree, size: number | undefined, limit: number): string[] {
  const { total, memory } = made;
  const cost =
    total.seconds !== undefined
      ? `${total.seconds < 10 ? 'seconds' : `about ${duration(total.seconds)}`} on this machine`
      : `${short(total.flops)} operations (diffengine plan foretells how long they take)`;
  const parts = made.phases
    .filter(({ flops }) => flops > total.flops / 100)
    .map(({ phase, flops, seconds }) => `${phase} ${seconds === undefined ? short(flops) : duration(seconds)}`);
  const shorter = shorterWith(made, config, size).map(
    ({ option, seconds }) => `${option} (about ${duration(seconds)} less)`,
  );
  return [
    `${'estimate'.padEnd(LABEL)}${cost}, ${bytes(memory.peak)} of ${bytes(limit)} memory`,
    `${' '.repeat(LABEL)}${parts.join(', ')}`,
    ...shorter.map((line, i) => `${' '.repeat(LABEL)}${i === 0 ? 'less with: ' : '           '}${line}`),
  ];
}

interface Advice {
  readonly option: string;
  /** saved */
  readonly seconds: number;
}

/** The options that save most, with what they would save; roughly, for only the parts are known. */
function shorterWith(made: Plan, config: Tree, size: number | undefined): Advice[] {
  const { seconds: total } = made.total;
  if (total === undefined || total < WORTH_SECONDS) return [];
  const of = (phase: string): number => made.phases.find((p) => p.phase === phase)?.seconds ?? 0;
  const training = of('training'),
    classes = of('class pictures'),
    drawn = of('validation pictures');
  const dataset = (config['train_dataloader'] as Tree)['dataset'] as Tree,
    count = isTree(dataset['class_image']) ? dataset['class_image']['num_images'] : undefined;
  const found: Advice[] = [{ option: `train_cfg.max_iters=${half(iterations(config))}`, seconds: training / 2 }];
  if (typeof count === 'number')
    found.push({
      option: `train_dataloader.dataset.class_image.num_images=${Math.ceil(count / 4)}`,
      seconds: 0.75 * classes,
    });
  if (isTree(dataset) && typeof dataset['class_prompt'] === 'string')
    // Half of each batch are class pictures.
    found.push({ option: 'train_dataloader.dataset.class_prompt=null', seconds: classes + training / 2 });
  const drawing = drawingHooks(config);
  if (drawing.length > 0) found.push({ option: drawing.map((at) => `${at}=null`).join(' '), seconds: drawn });
  // A quarter of the picture, at most a quarter of the arithmetic.
  if (size !== undefined && size >= 512) found.push({ option: `size=${half(size)}`, seconds: 0.75 * total });
  return found
    .filter(({ seconds }) => seconds > 0.1 * total)
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, MOST_ADVICE);
}

const half = (n: number): number => Math.max(1, Math.floor(n / 2));

/** Places of the hooks that draw validation pictures. */
function drawingHooks(config: Tree): string[] {
  return ['default_hooks', 'custom_hooks'].flatMap((group) =>
    Object.entries((config[group] ?? {}) as Tree)
      .filter(([, hook]) => isTree(hook) && ['VisualizationHook', 'EvaluationHook'].includes(String(hook['type'])))
      .map(([name]) => `${group}.${name}`),
  );
}

const iterations = (config: Tree): number => (config['train_cfg'] as { max_iters: number }).max_iters;
const withIterations = (config: Tree, max_iters: number): Tree => ({
  ...config,
  train_cfg: { ...(config['train_cfg'] as Tree), max_iters: Math.max(1, max_iters) },
});
