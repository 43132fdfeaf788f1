import { inject } from 'inversify';
import { judged, measures, type Judged } from '../engine/best-evaluation.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { RunState } from '../engine/run-state.js';
import type { Logger } from '../base/logger.js';
import type { OptionsSchema, Output } from '../registry/schema.js';
import { LOGGER, OPTIONS } from '../registry/tokens.js';

@HOOKS.register()
export class EarlyStoppingHook extends Hook {
  static readonly options = {
    description: 'Ends the run when a metric of EvaluationHook has not become better for some evaluations.',
    type: 'object',
    additionalProperties: false,
    required: ['monitor'],
    properties: {
      monitor: { type: 'string', minLength: 1, description: 'name of the metric, such as CLIP-IT, or auto: the first' },
      rule: {
        type: 'string',
        enum: ['greater', 'less'],
        description: "which values are better. Default: the metric's own",
      },
      min_delta: {
        type: 'number',
        minimum: 0,
        default: 0,
        description: 'by how much a value must be better than the best one to count',
      },
      patience: {
        type: 'integer',
        minimum: 1,
        default: 5,
        description: 'evaluations in a row that may bring nothing; the run ends after the last of them',
      },
      check_finite: { type: 'boolean', default: true, description: 'end the run at a value that is no finite number' },
      stopping_threshold: { type: 'number', description: 'end the run as soon as a value is better than this' },
    },
  } as const satisfies OptionsSchema;
  /** After CheckpointHook, which keeps the best. */
  override readonly priority = 'LOWEST';

  constructor(
    @inject(OPTIONS) private readonly opts: Output<typeof EarlyStoppingHook.options>,
    @inject(LOGGER) private readonly log: Logger,
  ) {
    super();
  }

  override async beforeTrain(run: RunState): Promise<void> {
    if (!measures(run.config))
      this.log.warn('EarlyStoppingHook: nothing measures this run; add EvaluationHook with an interval');
    this.look(run); // a resumed run may have come to its end before
  }

  override async afterValEpoch(run: RunState): Promise<void> {
    this.look(run);
  }

  /** All evaluations anew, so that a resumed run decides as an uninterrupted one. */
  private look({ evaluations, stop }: RunState): void {
    const { monitor, rule } = this.opts;
    const reason = this.reason(judged(evaluations, monitor, rule, 'EarlyStoppingHook.monitor'));
    if (reason !== undefined) stop(reason);
  }

  private reason(values: ReturnType<typeof judged>): string | undefined {
    const { check_finite, stopping_threshold: threshold, min_delta, patience } = this.opts;
    let best: (Judged & { worth: number }) | undefined,
      idle = 0;
    for (const one of values) {
      const said = `${one.name} is ${one.value.toFixed(3)}`;
      if (check_finite && !Number.isFinite(one.value)) return said;
      const sign = one.worth === one.value ? 1 : -1;
      if (threshold !== undefined && one.worth > sign * threshold)
        return `${said}, better than stopping_threshold ${threshold}`;
      if (!best || one.worth > best.worth + min_delta) [best, idle] = [one, 0];
      else if (++idle >= patience)
        return `${best.name} has not become better than ${best.value.toFixed(3)} (iteration ${best.iter}) in ${idle} evaluations`;
    }
    return undefined;
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    EarlyStoppingHook: typeof EarlyStoppingHook;
  }
}
