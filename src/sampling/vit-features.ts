/** What a vision transformer that learnt without labels sees in pictures, as vectors. */
import type { Backend } from '../backends/backend.js';
import type { Logger } from '../base/logger.js';
import { fingerprint } from '../formats/fingerprint.js';
import { openVit, type VitFolder } from '../formats/vit-folder.js';
import { Scope } from '../networks/layers/scope.js';
import { vit } from '../networks/vit.js';
import type { HostTensor } from '../tensor/host.js';
import { narrow, reshape } from '../tensor/ops.js';
import { FeatureBatches, pixelsOf } from './feature-batches.js';

export class VitFeatures {
  private readonly batches: FeatureBatches;

  private constructor(
    private readonly folder: VitFolder,
    backend: Backend,
    /** Identifies the weights. */ readonly fingerprint: string,
  ) {
    this.batches = new FeatureBatches(backend, folder.config.hiddenSize);
  }

  /** @param folder of a ViTModel or a Dinov2Model @throws UserError naming the file and what is wrong with it */
  static async open(folder: string, backend: Backend, log?: Logger): Promise<VitFeatures> {
    const opened = await openVit(folder, log);
    return new VitFeatures(opened, backend, await fingerprint(opened.source.weights));
  }

  /** @param pictures uint8 [H, W, 3] of any size @returns per picture the class token after the last norm [D], not normalised */
  images(pictures: readonly HostTensor[]): Promise<Float32Array[]> {
    const { preprocess, config, source } = this.folder;
    return this.batches.run(
      'vit_images',
      pictures,
      (batch) => ({ pixels: pixelsOf(batch, preprocess) }),
      ({ pixels }) => {
        const states = vit(new Scope(source), pixels, config);
        return reshape(narrow(states, 1, 0, 1), [pixels.shape[0], config.hiddenSize]);
      },
    );
  }

  dispose = (): Promise<void> => this.batches.dispose();
}
