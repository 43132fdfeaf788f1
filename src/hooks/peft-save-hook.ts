import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import { CARD_FILE, cardOf } from '../engine/published-files.js';
import type { OptionsSchema } from '../registry/schema.js';

@HOOKS.register()
export class PeftSaveHook extends Hook {
  static readonly options = {
    description:
      'Adds the trained weights to each checkpoint in the formats of PEFT and diffusers, e.g. unet/adapter_model.safetensors, and a model card, README.md.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  override async beforeSaveCheckpoint(run: RunState, folder: string): Promise<void> {
    await run.model.save(folder, await run.values());
    const base = (run.config['model'] as { model?: unknown } | undefined)?.model;
    if (typeof base !== 'string') return; // a model of one's own, of no base
    const facts = { name: basename(run.workDir.path), base, config: run.config, iterations: run.iter + 1 };
    await writeFile(join(folder, CARD_FILE), cardOf(folder, facts));
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    PeftSaveHook: typeof PeftSaveHook;
  }
}
