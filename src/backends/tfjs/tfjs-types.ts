/** The types of TensorFlow.js for the rules of primitives. The public types do not reach this file, and so not TensorFlow.js. */
import type * as tfjs from '@tensorflow/tfjs-core';

declare module '../../tensor/primitive.js' {
  interface TfjsTypes {
    readonly module: typeof tfjs;
    readonly tensor: tfjs.Tensor;
  }
}
