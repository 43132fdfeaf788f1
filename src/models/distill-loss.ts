/**
 * Knowledge distillation between two U-Nets that see the same noisy latents: the student is to find the noise, to predict
 * what the teacher predicts, and to reach similar hidden states on the way (Kim et al., arXiv 2305.15798, equations 1 to 4).
 */
import { UserError } from '../base/errors.js';
import { suggestion } from '../registry/validate.js';
import { add, mean, mul, square, sub } from '../tensor/ops.js';
import type { Tensor } from '../tensor/tensor.js';
import type { DistillWeights, TapPair } from './distill-presets.js';
import { Scope, type ParamSource } from '../networks/layers/scope.js';
import { unet, type UNetInputs, type UNetOptions, type UNetOutputs } from '../networks/unet.js';
import type { UNetConfig } from '../networks/unet-config.js';

/** A U-Net whose taps hold its blocks and the result of every convolution and linear layer, by module. */
export function tappedUnet(
  source: ParamSource,
  inputs: UNetInputs,
  config: UNetConfig,
  options: UNetOptions = {},
): UNetOutputs {
  const layers: Record<string, Tensor> = {};
  const observed: ParamSource = {
    get: (name, shape) => source.get(name, shape),
    adapter: (module, shape) => source.adapter?.(module, shape),
    tap: (module, out) => void (layers[module] = out),
  };
  const { out, taps } = unet(new Scope(observed), inputs, config, options);
  return { out, taps: { ...layers, ...taps } };
}

export interface DistillTerms {
  /** scalar; the weighted sum of the others */
  readonly loss: Tensor;
  readonly task: Tensor;
  /** mean squared distance of the predictions; absent when its weight is 0 */
  readonly output: Tensor | undefined;
  /** mean squared distance per pair, in their order; none when their weight is 0 */
  readonly features: readonly Tensor[];
}

/**
 * Terms of weight 0 are left out, so that a student without any of the teacher's help does not pay for the teacher.
 * @param task scalar, how far the student's prediction is from the true one
 * @throws UserError when a pair names no module, or modules whose results differ in shape
 */
export function distillLoss(
  task: Tensor,
  student: UNetOutputs,
  teacher: UNetOutputs,
  pairs: readonly TapPair[],
  weights: DistillWeights,
): DistillTerms {
  const output = weights.output === 0 ? undefined : distance(student.out, teacher.out);
  const features =
    weights.feature === 0
      ? []
      : pairs.map(([from, to], i) => {
          const goal = tap(teacher, from, `model.taps.${i}.0`, 'teacher'),
            own = tap(student, to, `model.taps.${i}.1`, 'student');
          if (String(goal.shape) === String(own.shape)) return distance(own, goal);
          throw new UserError(
            `model.taps.${i}: "${from}" of the teacher gives [${goal.shape}], "${to}" of the student [${own.shape}]; pair modules of equal shape`,
          );
        });
  const terms = [mul(task, weights.task)];
  if (output) terms.push(mul(output, weights.output));
  if (features.length > 0)
    terms.push(
      mul(
        features.reduce((a, b) => add(a, b)),
        weights.feature,
      ),
    );
  return { loss: terms.reduce((a, b) => add(a, b)), task, output, features };
}

const distance = (student: Tensor, teacher: Tensor): Tensor => mean(square(sub(student, teacher)));

function tap({ taps }: UNetOutputs, module: string, where: string, whose: string): Tensor {
  const found = Object.hasOwn(taps, module) ? taps[module] : undefined;
  if (!found)
    throw new UserError(`${where}: the ${whose} has no module "${module}"${suggestion(module, Object.keys(taps))}`);
  return found;
}
