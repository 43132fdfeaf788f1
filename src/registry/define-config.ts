/** Types of a config written in TypeScript. Everything is optional here: a config may inherit the rest. */
import type { ExtendedJSONSchema } from 'json-schema-to-ts';
import type { configSchema } from './config-schema.js';
import type { HookMap, Kinds, NamedHooks } from './kinds.js';
import type { Ref } from './ref.js';
import type { Input, Nested, OptionsSchema, Published, SchemaExtension } from './schema.js';
import { stackFiles } from './stack.js';

/** What a value may be in a config that inherits: the value, a part of it, a ref, or null to remove it. */
type Loose<T> =
  T extends Nested<infer K>
    ? ComponentInput<K> | Ref | null
    : T extends readonly (infer Item)[]
      ? ([Item] extends [Nested<infer K>] ? readonly ComponentInput<K>[] : T) | Ref | null
      : T extends object
        ? (LooseOptions<T> & { _delete_?: boolean }) | Ref | null
        : T | Ref | null;
type LooseOptions<T> = { [Key in keyof T]?: Loose<T[Key]> };

type OptionsOf<C> =
  C extends Published<infer I>
    ? I
    : C extends { readonly options: infer S extends OptionsSchema & ExtendedJSONSchema<SchemaExtension> }
      ? Input<S>
      : object;
/** `{ type: 'X', ...options of X }` for every registered X of a kind; `type` may be inherited. */
type ComponentInput<K extends keyof Kinds> = {
  [Name in keyof Kinds[K]]: { type?: Name; _delete_?: boolean } & LooseOptions<OptionsOf<Kinds[K][Name]>>;
}[keyof Kinds[K]];

/** A hook under a name that has one in the built-in configs: without a `type` it is that one, so that a wrong option is told against its options. */
type NamedHook<Usual> = {
  [Name in keyof HookMap]: (Name extends Usual ? { type?: Name } : { type: Name }) & {
    _delete_?: boolean;
  } & LooseOptions<OptionsOf<HookMap[Name]>>;
}[keyof HookMap];
type NamedInput = { [Name in keyof NamedHooks]?: NamedHook<NamedHooks[Name]> | null };
interface Hooks extends NamedInput {
  [name: string]: ComponentInput<'HOOKS'> | null | undefined;
}

export interface ConfigInput {
  /** Configs to inherit from: imported modules in TypeScript, paths in YAML. */
  _base_?: readonly (ConfigInput | string)[] | ConfigInput | string;
  /** Pixels of a side of the pictures: what `ref('size')` stands for. */
  size?: number;
  model?: ComponentInput<'MODELS'>;
  train_dataloader?: {
    batch_size?: number | Ref;
    num_workers?: number | Ref;
    drop_last?: boolean | Ref;
    dataset?: ComponentInput<'DATASETS'>;
    sampler?: ComponentInput<'SAMPLERS'>;
    _delete_?: boolean;
  };
  optim_wrapper?: {
    optimizer?: ComponentInput<'OPTIMIZERS'>;
    clip_grad?: { max_norm: number | Ref } | null;
    accumulative_counts?: number | Ref;
    type?: 'OptimWrapper' | 'AmpOptimWrapper';
    loss_scale?: 'dynamic' | number | Ref;
    _delete_?: boolean;
  };
  param_scheduler?: ComponentInput<'LR_SCHEDULES'> | readonly ComponentInput<'LR_SCHEDULES'>[] | null;
  train_cfg?: { type?: 'IterBasedTrainLoop'; max_iters?: number | Ref };
  val_dataloader?: { dataset?: string | ComponentInput<'DATASETS'>; _delete_?: boolean } | null;
  val_evaluator?: readonly ComponentInput<'METRICS'>[] | null;
  val_cfg?: Loose<Input<typeof configSchema.properties.val_cfg>>;
  default_hooks?: Hooks;
  custom_hooks?: Hooks;
  visualizer?: {
    type?: 'Visualizer';
    vis_backends?: readonly ComponentInput<'VISBACKENDS'>[];
    _delete_?: boolean;
  } | null;
  backend?: ComponentInput<'BACKENDS'>;
  randomness?: { seed?: number | Ref };
  work_dir?: string;
  cache_dir?: string;
  custom_imports?: readonly string[];
}

/** config object -> the file that defined it; for error messages and `describe --explain` */
const definedIn = new WeakMap<object, string>();
export const definitionOf = (config: object): string | undefined => definedIn.get(config);

/**
 * Gives a config its type; nothing else changes.
 * `export default defineConfig({ _base_: [smallSdLora, dogDreambooth], train_cfg: { max_iters: 500 } })`
 */
export function defineConfig(config: ConfigInput): ConfigInput {
  const [, caller] = stackFiles(new Error().stack ?? '');
  if (caller !== undefined) definedIn.set(config, caller);
  return config;
}
