/** A sampler from a pipeline's scheduler_config.json. */
import { closest } from 'fastest-levenshtein';
import { UserError } from '../../errors.js';
import { refuse } from './scheduler-options.js';
import type { Scheduler } from './scheduler.js';
import { DDIMScheduler } from './ddim.js';
import { DDPMScheduler } from './ddpm.js';
import { DPMSolverMultistepScheduler } from './dpm-solver-multistep.js';
import { EulerAncestralDiscreteScheduler } from './euler-ancestral.js';
import { EulerDiscreteScheduler } from './euler.js';
import { PNDMScheduler } from './pndm.js';

const CLASSES = { DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, PNDMScheduler };

/**
 * @param config fields another class wrote are left out, as diffusers' `from_config`; missing ones take the class's defaults
 * @param className default the config's own `_class_name`
 * @throws UserError for an unknown class or an unsupported value
 */
export function schedulerFromConfig(config: Readonly<Record<string, unknown>>, className = String(config['_class_name'] ?? 'PNDMScheduler')): Scheduler {
  const Class = CLASSES[className as keyof typeof CLASSES];
  if (!Class) throw new UserError(`scheduler: "${className}" is not known; did you mean "${closest(className, Object.keys(CLASSES))}"?`);
  refuse(config, ['clip_sample', 'thresholding', 'rescale_betas_zero_snr', 'trained_betas']);
  const options: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries(Class.options.properties as Record<string, { default: unknown; enum?: readonly unknown[]; const?: unknown }>)) {
    const value = config[key] ?? schema.default;
    const allowed = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
    if (allowed && !allowed.includes(value)) throw new UserError(`scheduler_config.json: ${key} = ${JSON.stringify(value)} is not supported by ${className}; one of ${allowed.join(', ')}`);
    options[key] = value;
  }
  return new Class(options as never); // every option is present: given, or the schema's default
}
