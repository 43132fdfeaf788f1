/** From what a program calls a config to one that can be built from. */
import { loadComponents, loadCustomImports } from '../components.js';
import { backendType } from '../engine/build-backend.js';
import type { CfgOptions } from '../registry/cfg-options.js';
import type { ConfigInput } from '../registry/define-config.js';
import { loadConfig } from '../registry/load-config.js';
import type { Tree } from '../registry/merge.js';
import { validateConfig } from '../registry/validate.js';

export interface ConfigOptions {
  /**
   * Single values by path, which replace those of the config: `{ 'train_cfg.max_iters': 200 }`.
   * A list holds them as the command line has them: `['train_cfg.max_iters=200']`, values in YAML.
   */
  readonly options?: CfgOptions | undefined;
  /** What computes, in place of the config's `backend`: a name such as `onnxruntime`, or `{ type, ...options }`. */
  readonly backend?: string | object | undefined;
}

export interface OpenedConfig {
  /** names the work dir */
  readonly name: string;
  /** merged and checked */
  readonly config: Tree;
  /** of pictures, when values of the config take it with ref('size') */
  readonly size: number | undefined;
}

export const CONFIG_OPTIONS = {
  options: { type: ['object', 'array'] },
  backend: { type: ['string', 'object'] },
} as const;

/** Loads, merges and checks; all components are loaded then. @throws UserError listing every mistake */
export async function openConfig(given: string | ConfigInput, options: ConfigOptions): Promise<OpenedConfig> {
  await loadComponents(); // first: options say what they take
  const { name, file, config: merged, size } = await loadConfig(given, options.options ?? []);
  const imports = await loadCustomImports(merged, file); // absolute, for the copy in the work dir
  const backend = backendConfig(options.backend);
  return { name, size, config: validateConfig({ ...merged, ...(backend && { backend }), custom_imports: imports }) };
}

/** `{ type, ...options }` of what a caller names; components must be loaded. */
export const backendConfig = (backend: string | object | undefined): object | undefined =>
  typeof backend === 'string' ? { type: backendType(backend) } : backend;
