/** A sampler from a pipeline's scheduler_config.json. */
import { SCHEDULERS, type Scheduler } from './scheduler.js';
import { validateComponent } from '../../registry/validate.js';
import { refuse, type SchedulerConfig } from './scheduler-options.js';
import './ddim.js';
import './ddpm.js';
import './dpm-solver-multistep.js';
import './euler-ancestral.js';
import './euler.js';
import './pndm.js';

/** Fields that would change the numbers of some class, and that none of ours follows. */
const UNSUPPORTED = [
  'thresholding',
  'rescale_betas_zero_snr',
  'trained_betas',
  'use_lu_lambdas',
  'use_exponential_sigmas',
  'use_beta_sigmas',
  'use_flow_sigmas',
  'sigma_min',
  'sigma_max',
  'lambda_min_clipped',
];

/**
 * @param config fields that only another class knows are left out, as by diffusers' `from_config`; missing ones take the class's defaults
 * @param className a registered scheduler; by default the config's own `_class_name`
 * @throws UserError for an unknown class or an unsupported value, naming the nearest that is known
 */
export function schedulerFromConfig(
  config: SchedulerConfig,
  className = String(config['_class_name'] ?? 'PNDMScheduler'),
): Scheduler {
  refuse(config, UNSUPPORTED);
  const Class = SCHEDULERS.get(className);
  const known = Class && 'properties' in Class.options ? Object.keys(Class.options.properties as object) : [];
  const given = Object.fromEntries(known.filter((key) => config[key] != null).map((key) => [key, config[key]]));
  const options = validateComponent(SCHEDULERS, { ...given, type: className }, 'scheduler');
  return new (Class as unknown as new (options: object) => Scheduler)(options);
}
