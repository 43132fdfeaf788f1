import { stopIfAborted } from '../base/errors.js';
import { fitting } from '../planning/fit.js';
import { machineMemory, plan as makePlan, type Plan } from '../planning/plan.js';
import type { ConfigInput } from '../registry/define-config.js';
import { FLAG, logOf, optionsOf, type CallOptions } from './call-options.js';
import { CONFIG_OPTIONS, openConfig, type ConfigOptions } from './open-config.js';

export interface PlanOptions extends CallOptions, ConfigOptions {
  /** Bytes of memory there are. Default: those of this machine, or of its container. */
  readonly memory?: number | undefined;
  /** Measure this machine's speed for a second, to foretell times. Default true. */
  readonly measuring?: boolean | undefined;
}

/** What a run would cost. */
export interface PlanResult extends Plan {
  readonly memory: Plan['memory'] & {
    /** bytes there are, and how many of them are free now, when it is this machine's memory */
    readonly limit: number;
    readonly available: number | undefined;
    readonly fits: boolean;
  };
  /** When it does not fit: what that means, and what helps, the most effective first. */
  readonly misfit?: { readonly message: string; readonly advice: readonly string[] };
}

const check = optionsOf<PlanOptions>({
  ...CONFIG_OPTIONS,
  memory: { type: 'number', exclusiveMinimum: 0 },
  measuring: FLAG,
});

/**
 * Says what training a config would cost: parameters, arithmetic, memory, time. Nothing is trained and no weights are
 * read; of a model on the hub only the configs are fetched. Units are bytes, operations and seconds.
 * @throws UserError as `train` would; a run that does not fit into memory is a result, not an error
 */
export async function plan(config: string | ConfigInput, options: PlanOptions = {}): Promise<PlanResult> {
  check('plan', options);
  const log = logOf(options);
  const { limit, available } =
    options.memory === undefined ? machineMemory() : { limit: options.memory, available: undefined };
  const { config: opened } = await openConfig(config, options);
  stopIfAborted(options.signal, 'plan');
  const made = await makePlan({ config: opened, log, calibrationSeconds: (options.measuring ?? true) ? 1 : 0 });
  stopIfAborted(options.signal, 'plan');
  const misfit = await fitting(made, opened, limit, log);
  return {
    ...made,
    memory: { ...made.memory, limit, available, fits: misfit === undefined },
    ...(misfit && { misfit }),
  };
}
