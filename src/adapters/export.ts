/** An adapter of any origin in the format that another tool wants. */
import { join } from 'node:path';
import { UserError } from '../base/errors.js';
import type { Logger } from '../base/logger.js';
import type { Shape } from '../tensor/host.js';
import { adapterKinds, type ModuleAdapter } from './adapter-kind.js';
import { architectureHash } from './base-record.js';
import { saveDiffusers } from './diffusers-lora.js';
import { saveKohya } from './kohya.js';
import type { FittedAdapter } from './load-adapter.js';
import type { AdapterValues } from './network-adapter.js';
import type { Part } from './parts.js';
import { savePeft, type PeftDescription } from './peft.js';
import { adaptableModules } from './targets.js';
import type { TargetLibraries } from './text-encoder-names.js';

/** What reads it, and whether it is one file or a folder. */
export const EXPORTS = {
  peft: 'folder of PEFT folders, unet and text_encoder',
  diffusers: 'file for load_lora_weights of diffusers',
  kohya: 'file for A1111, ComfyUI and kohya',
} as const;
export type ExportFormat = keyof typeof EXPORTS;

/** @throws UserError for a kind that the format cannot hold */
export async function exportAdapter(
  { values, parameters, base }: FittedAdapter,
  format: ExportFormat,
  out: string,
  libraries: TargetLibraries = 'current',
  log?: Logger,
): Promise<void> {
  const progress = log && { log, of: 'the adapter' };
  if (format === 'diffusers') return saveDiffusers(out, values, base, libraries, progress);
  if (format === 'kohya') return saveKohya(out, values, base, libraries, progress);
  for (const [part, adapter] of Object.entries(values) as [Part, AdapterValues][]) {
    const description = described(adapter, adaptableModules(parameters[part]));
    const record = { ...base, architecture: architectureHash(parameters[part]) };
    await savePeft(join(out, part), part, description, adapter, record, libraries, log && { log, of: part });
  }
}

function described(values: AdapterValues, shapes: ReadonlyMap<string, Shape>): PeftDescription {
  const modules = new Map([...values].map(([name, { adapter }]) => [name, adapter]));
  const found = adapterKinds().find(({ Kind }) => [...modules.values()].every((adapter) => Kind.holds?.(adapter)));
  const names = [...new Set([...modules.values()].map((adapter) => adapter.constructor.name))].join(', ');
  if (!found?.Kind.describe)
    throw new UserError(
      `peft: one folder holds one kind of adapter, and this one has ${names}; give --format kohya, or merge it with merge-lora`,
    );
  const options = found.Kind.describe(modules);
  const kind = new found.Kind(options);
  for (const [name, adapter] of modules) {
    const again = kind.module(name, shapes.get(name) as Shape, 'peft');
    const parts = (of: ModuleAdapter): string => JSON.stringify([...of.parts].sort());
    if (parts(again) !== parts(adapter))
      throw new UserError(
        `peft: no settings of ${kind.peftType} give "${name}" its shapes ${parts(adapter)}; give --format kohya, or merge it with merge-lora`,
      );
  }
  return { peftType: kind.peftType, options: kind.peftOptions(), targets: [...modules.keys()] };
}
