/** Values as files of kohya's scripts and of LyCORIS hold them. */
import { UserError } from '../base/errors.js';
import { float32, floats, sizeOf, type HostTensor, type Shape } from '../tensor/host.js';
import type { PartTensors } from './adapter-kind.js';

/** alpha / rank; where a file has no alpha, its readers take the rank. */
export const scaleOf = ({ alpha }: PartTensors, rank: number): number => (alpha ? floats(alpha)[0] / rank : 1);

/** The same values in another shape: a linear layer may be stored as the 1x1 convolution it equals. @throws UserError when they are too many or too few */
export function fitted(tensor: HostTensor, shape: Shape, where: string): HostTensor {
  if (sizeOf(tensor.shape) !== sizeOf(shape))
    throw new UserError(
      `${where} has shape [${tensor.shape}], this model needs [${shape}]; the adapter is for another base model`,
      { code: 'MODEL_MISMATCH' },
    );
  return float32(floats(tensor), shape);
}

/** Multiplied by the one value of another tensor, when there is one. */
export const times = (tensor: HostTensor, factor: HostTensor | undefined): HostTensor =>
  factor === undefined
    ? tensor
    : float32(
        floats(tensor).map((v) => v * floats(factor)[0]),
        tensor.shape,
      );

/** @throws UserError for lengths of rows, which LyCORIS can train beside any kind and we only know with LoRA */
export function refuseDora({ dora_scale: magnitude }: PartTensors, where: string): void {
  if (magnitude)
    throw new UserError(
      `${where} has dora_scale (DoRA) beside another kind than LoRA, which is not supported; merge the adapter with the tool that made it`,
    );
}

/** Each part from the file, in its shape. @throws UserError when one is missing or does not fit */
export function fittedParts(tensors: PartTensors, parts: ReadonlyMap<string, Shape>, where: string): PartTensors {
  return Object.fromEntries(
    [...parts].map(([name, shape]) => {
      if (!tensors[name]) throw new UserError(`${where} has no ${name}; save the adapter again`);
      return [name, fitted(tensors[name], shape, `${where}: ${name}`)];
    }),
  );
}
