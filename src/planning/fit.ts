/** Whether a planned run fits into memory, and what would make it fit. */
import type { Tree } from '../registry/merge.js';
import type { Logger } from '../base/logger.js';
import type { RunConfig } from '../engine/build-run.js';
import { plan, type Plan } from './plan.js';
import { advice, size } from './plan-text.js';

export interface Misfit {
  /** for a UserError */
  readonly message: string;
  readonly advice: readonly string[];
}

/** @param limit bytes @returns undefined when it fits */
export async function fitting(made: Plan, config: Tree, limit: number, log: Logger): Promise<Misfit | undefined> {
  if (made.memory.peak <= limit) return undefined;
  const lines = advice(made, await oneAtATime(config, log));
  return {
    advice: lines,
    message: `memory: this run needs about ${size(made.memory.peak)}, there are ${size(limit)}; it would be killed or never end. What helps:\n${lines.map((line) => `  - ${line}`).join('\n')}`,
  };
}

/** The same updates from batches of one. */
async function oneAtATime(config: Tree, log: Logger): Promise<{ options: string; peak: number } | undefined> {
  const { train_dataloader: loader, optim_wrapper: optim, train_cfg: cfg } = config as unknown as RunConfig;
  const batch = loader.batch_size;
  if (batch === 1) return undefined;
  const accumulated = batch * (optim.accumulative_counts ?? 1),
    iterations = cfg.max_iters * batch;
  const changed = {
    ...config,
    train_dataloader: { ...loader, batch_size: 1 },
    optim_wrapper: { ...optim, accumulative_counts: accumulated },
    train_cfg: { ...cfg, max_iters: iterations },
  } as unknown as Tree;
  const { memory } = await plan({ config: changed, log, calibrationSeconds: 0 });
  return {
    options: `train_dataloader.batch_size=1 optim_wrapper.accumulative_counts=${accumulated} train_cfg.max_iters=${iterations}`,
    peak: memory.peak,
  };
}
