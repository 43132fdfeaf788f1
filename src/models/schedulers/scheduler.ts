/** Turns a model's predictions into samples, step by step. */

export abstract class Scheduler {
  /** Timesteps in the order they are visited, set by `setTimesteps`. PNDM visits one twice, so this may be longer than n. */
  abstract readonly timesteps: readonly number[];
  /** Standard deviation of the starting noise. */
  abstract readonly initNoiseSigma: number;

  /** Plans n steps and forgets the history of earlier ones. @param n from 1 to num_train_timesteps */
  abstract setTimesteps(n: number): void;

  /** What the model is shown at this step. @param sample any length @param stepIndex index into `timesteps` */
  abstract scaleModelInput(sample: Float32Array, stepIndex: number): Float32Array;

  /**
   * The sample of the next step.
   * @param modelOutput the prediction for `scaleModelInput(sample)`, same length as `sample`
   * @param stepIndex index into `timesteps`; multistep schedulers need 0, 1, 2, ... in turn
   * @param noise called at most once, for standard normals of the sample's length
   */
  abstract step(modelOutput: Float32Array, stepIndex: number, sample: Float32Array, noise: () => Float32Array): Float32Array;
}
