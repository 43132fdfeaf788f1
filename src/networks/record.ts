/** Names and shapes of a network's parameters, found by building its graph once. */
import type { Shape } from '../tensor/host.js';
import { input } from '../tensor/tensor.js';
import { clipText, type ClipTextConfig } from './clip-text.js';
import { RecordingSource, Scope, type ParamSource } from './layers/scope.js';
import { unet } from './unet.js';
import type { UNetConfig } from './unet-config.js';
import { vaeDecode, vaeEncode } from './vae.js';
import type { VaeConfig } from './vae-config.js';

/** Builds a network's graph once, for nothing but the parameters it asks for. */
export const recordUnet = (source: ParamSource, config: UNetConfig): void => {
  // The deepest stage needs one pixel.
  const side = 2 ** (config.blockOutChannels.length - 1);
  const inputs = {
    sample: input('sample', [1, config.inChannels, side, side]),
    timesteps: input('t', [1]),
    encoderHiddenStates: input('text', [1, 1, config.crossAttentionDim]),
  };
  unet(new Scope(source), inputs, config);
};
export const recordText = (source: ParamSource, config: ClipTextConfig): void =>
  void clipText(new Scope(source), input('ids', [1, config.maxPositions], 'int32'), config);
export const recordVae = (source: ParamSource, config: VaeConfig): void => {
  const side = 2 ** (config.blockOutChannels.length - 1);
  vaeEncode(new Scope(source), input('image', [1, config.inChannels, side, side]), config);
  vaeDecode(new Scope(source), input('latents', [1, config.latentChannels, 1, 1]), config);
};

/**
 * Names and shapes of all parameters, in the order the graph asks for them.
 * @param look sees each as it is asked for, and may throw: a graph that fits no file need not be built to its end
 */
export function recorded(
  record: (source: ParamSource) => void,
  look: (name: string, shape: Shape) => void = () => undefined,
): RecordingSource['shapes'] {
  const source = new RecordingSource();
  record({
    get: (name, shape) => {
      look(name, shape);
      return source.get(name, shape);
    },
  });
  return source.shapes;
}
