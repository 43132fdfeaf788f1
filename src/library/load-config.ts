import { loadComponents } from '../components.js';
import type { CfgOptions } from '../registry/cfg-options.js';
import type { ConfigInput } from '../registry/define-config.js';
import { loadConfig as load, type LoadedConfig } from '../registry/load-config.js';
import { optionsOf, type CallOptions } from './call-options.js';

export interface LoadConfigOptions extends CallOptions {
  /** Single values by path, which replace those of the config, as in `train`. */
  readonly options?: CfgOptions | undefined;
}

const check = optionsOf<LoadConfigOptions>({ options: { type: ['object', 'array'] } });

/**
 * Loads a config with all that it inherits, and merges it. `train` and `plan` check values; this does not yet.
 * @param config a file (.ts, .js, .yaml), the name of a built-in config, or what `defineConfig` gives
 * @returns the merged config, and which file set each value
 * @throws UserError CONFIG_NOT_FOUND, CONFIG_INVALID
 */
export async function loadConfig(config: string | ConfigInput, options: LoadConfigOptions = {}): Promise<LoadedConfig> {
  check('loadConfig', options);
  await loadComponents(); // first: options say what they take
  return load(config, options.options ?? []);
}
