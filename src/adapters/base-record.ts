/** What an adapter was trained on, kept in the metadata of its weights, which other tools ignore. */
import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.js';
import type { Shape } from '../tensor/host.js';

export interface BaseRecord {
  readonly model: string;
  readonly fingerprint: string;
  /** `architectureHash` of the network */
  readonly architecture?: string;
  /** the model's options, as JSON */
  readonly config?: string;
}

/** sha256 over the names and shapes of a network's parameters. */
export function architectureHash(parameters: ReadonlyMap<string, Shape>): string {
  const lines = [...parameters].map(([name, shape]) => `${name}[${shape}]\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

/** Metadata of an adapter's safetensors file. */
export function baseMetadata({ model, fingerprint, architecture, config }: BaseRecord): Record<string, string> {
  const optional = {
    ...(architecture === undefined ? {} : { base_architecture: architecture }),
    ...(config === undefined ? {} : { diffengine_config: config }),
  };
  return { format: 'pt', base_model: model, base_fingerprint: fingerprint, ...optional };
}

/** @throws UserError when the file says it was trained on another base */
export function checkBase(file: string, metadata: Readonly<Record<string, string>>, base: BaseRecord): void {
  const { base_fingerprint: fingerprint, base_model: model, base_architecture: architecture } = metadata;
  if (architecture !== undefined && base.architecture !== undefined && architecture !== base.architecture) {
    throw new UserError(
      `${file}: trained on "${model}", whose network has other parameters than that of "${base.model}"; use the base model it was trained on`,
      { code: 'MODEL_MISMATCH' },
    );
  }
  if (fingerprint !== undefined && fingerprint !== base.fingerprint) {
    throw new UserError(
      `${file}: trained on "${model}" (weights ${fingerprint.slice(0, 12)}), not on "${base.model}" (weights ${base.fingerprint.slice(0, 12)}); use the base model it was trained on`,
      { code: 'MODEL_MISMATCH' },
    );
  }
}
