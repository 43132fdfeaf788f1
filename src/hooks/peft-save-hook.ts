import type { RunState } from '../engine/run-state.js';
import { HOOKS, Hook } from '../engine/hook.js';
import type { OptionsSchema } from '../registry/schema.js';

@HOOKS.register()
export class PeftSaveHook extends Hook {
  static readonly options = {
    description:
      'Adds the trained weights to each checkpoint in the formats of PEFT and diffusers, e.g. unet/adapter_model.safetensors.',
    type: 'object',
    additionalProperties: false,
    properties: {},
  } as const satisfies OptionsSchema;

  override async beforeSaveCheckpoint(run: RunState, folder: string): Promise<void> {
    await run.model.save(folder, await run.values());
  }
}

declare module '../registry/kinds.js' {
  interface HookMap {
    PeftSaveHook: typeof PeftSaveHook;
  }
}
