import { createHash } from 'node:crypto';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../base/logger.js';
import { packageVersion } from '../base/version.js';
import type { Model } from '../models/model.js';
import { EncodingStore } from '../sampling/encoding-store.js';

interface Parts {
  readonly model: Pick<Model, 'counts' | 'fingerprint' | 'encodings'>;
  readonly backend: { readonly name: string };
  readonly config: Readonly<Record<string, unknown>>;
  readonly datasetServices: { readonly cacheDir: string };
  readonly log: Logger;
}

/** Parameters from which on a model encodes more slowly than a small file is read. */
const LARGE = 50e6;

/**
 * Lets a large model keep on disk what it encodes, for runs to come: in a folder for these weights and all that decides the
 * last bit of an answer, so that a run that reads equals one that encodes.
 */
export function keepEncodings({ model, backend, config, datasetServices, log }: Parts): void {
  const { frozen, trainable } = model.counts;
  if (frozen + trainable < LARGE) return;
  const maker = [
    packageVersion,
    model.fingerprint,
    backend.name,
    config['backend'] ?? null,
    cpus()[0]?.model,
    availableParallelism(),
  ];
  const folder = createHash('sha256').update(JSON.stringify(maker)).digest('hex').slice(0, 32);
  model.encodings?.keepOn(new EncodingStore(join(datasetServices.cacheDir, 'encodings', folder), log));
}
