/** The loss without most of its noise. */

/** Share of the past: the mean of about the last 50 iterations. */
const MOMENTUM = 0.98;

/** An exponential mean without the pull of its start. */
export class Smoothed {
  private sum = 0;
  private weight = 0;

  /** @returns the mean with this value in it */
  add(value: number): number {
    this.sum = MOMENTUM * this.sum + (1 - MOMENTUM) * value;
    this.weight = MOMENTUM * this.weight + (1 - MOMENTUM);
    return this.sum / this.weight;
  }
}
