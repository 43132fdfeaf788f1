import type { Logger } from '../../base/logger.js';
import { firstNonFinite, nameOfNonFinite } from '../../tensor/finite.js';
import type { TensorSource } from './write-as.js';

/** As the source; the first tensor read that holds a NaN or an infinity is named in a warning. */
export function namingNonFinite(source: TensorSource, what: string, log: Logger | undefined): TensorSource {
  let first = true;
  return {
    specs: source.specs,
    read: async (name) => {
      const tensor = await source.read(name),
        at = firstNonFinite(tensor);
      if (at >= 0 && first) {
        first = false;
        log?.warn(
          `${what}: tensor "${name}" holds ${nameOfNonFinite(tensor, at)} (value ${at} of ${tensor.data.length}), which is kept; no model can compute with it`,
        );
      }
      return tensor;
    },
  };
}
