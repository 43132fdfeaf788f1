/**
 * How much the loss is scaled up, so that gradients computed with 16 bits do not vanish: rules and numbers of
 * torch.amp.GradScaler. A state of the backend holds the scale, the good updates since it changed and all that were
 * skipped, so checkpoints have them.
 */
import type { StateStore } from '../backends/backend.js';
import { UserError } from '../base/errors.js';
import { floats, float32 } from '../tensor/host.js';

/** 'dynamic', or a factor that stays. */
export type LossScaleSetting = 'dynamic' | number;

const INITIAL = 2 ** 16,
  GROWTH = 2,
  BACKOFF = 0.5;
/** Updates in a row with finite gradients after which the scale grows. */
const GROWTH_INTERVAL = 2000;
/** Below, it is not the scale that makes gradients infinite. */
const LEAST = 2 ** -14;

export class LossScale {
  readonly stateName = 'amp/loss_scale';

  constructor(private readonly setting: LossScaleSetting) {}

  async init(states: StateStore): Promise<void> {
    await this.write(states, this.setting === 'dynamic' ? INITIAL : this.setting, 0, 0);
  }

  /** The factor of the next step, and how many updates were skipped before: the optimizer does not count them. */
  async current(states: StateStore): Promise<{ readonly scale: number; readonly skipped: number }> {
    if (this.setting !== 'dynamic') return { scale: this.setting, skipped: 0 };
    const [scale, , skipped] = await this.read(states);
    return { scale, skipped };
  }

  /**
   * Takes note of gradients before they are applied.
   * @param finite whether all of them are numbers; if not, they must not be applied
   * @throws UserError when no scale helps, or a fixed one is too large
   */
  async settle(states: StateStore, finite: boolean, iteration: number): Promise<void> {
    if (this.setting !== 'dynamic') {
      if (!finite)
        throw new UserError(
          `iteration ${iteration}: gradients are not numbers with optim_wrapper.loss_scale ${this.setting}; take a smaller one, or 'dynamic'`,
          { code: 'LOSS_NOT_FINITE' },
        );
      return;
    }
    const [scale, before, skipped] = await this.read(states),
      good = finite ? before + 1 : 0;
    const grows = good === GROWTH_INTERVAL,
      next = !finite ? scale * BACKOFF : grows ? scale * GROWTH : scale;
    if (next < LEAST)
      throw new UserError(
        `iteration ${iteration}: gradients are not numbers at any loss scale down to ${scale}; try a lower optim_wrapper.optimizer.lr, optim_wrapper.clip_grad, or optim_wrapper.type: 'OptimWrapper', which computes with 32 bits`,
        { code: 'LOSS_NOT_FINITE' },
      );
    await this.write(states, next, grows ? 0 : good, finite ? skipped : skipped + 1);
  }

  private async read(states: StateStore): Promise<Float32Array> {
    return floats(await states.read(this.stateName));
  }

  private async write(states: StateStore, scale: number, good: number, skipped: number): Promise<void> {
    await states.write(this.stateName, float32([scale, good, skipped], [3]), true);
  }
}
