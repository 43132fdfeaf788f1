/** An adapter on one network: which modules it changes, as parameters to train or as values to apply. */
import type { Rng } from '../base/rng.js';
import type { AdaptedLayer, Adapter, ParamSource } from '../networks/layers/scope.js';
import type { HostTensor, Shape } from '../tensor/host.js';
import { add } from '../tensor/ops.js';
import { parameter, weight, type Tensor } from '../tensor/tensor.js';
import type { AdapterKind, Leaf, ModuleAdapter, PartTensors, TrainedModule } from './adapter-kind.js';
import { adaptableModules, defaultTargets, targetedModules, type Targets } from './targets.js';

/** Trained modules of one network with their values. */
export type AdapterValues = ReadonlyMap<string, TrainedModule>;

/** Name of the trainable parameter, e.g. `unet.mid_block...to_q.lora_A.weight`. */
export const parameterName = (prefix: string, module: string, part: string): string => `${prefix}.${module}.${part}`;

/** Reads the frozen weight of a module, float32. */
export type ReadWeight = (module: string) => Promise<HostTensor>;

export class NetworkAdapter {
  /** What PEFT's adapter_config.json calls `target_modules`. */
  readonly targets: Targets;
  private readonly modules: ReadonlyMap<string, ModuleAdapter>;
  private constants: ReadonlyMap<string, PartTensors> = new Map();

  /**
   * @param prefix of parameter names: `unet` or `text_encoder`
   * @param parameters names and shapes of the network's own
   * @param where for errors, e.g. `model.unet_lora_config`
   * @throws UserError when a target names no module, or the kind does not fit one
   */
  constructor(
    readonly kind: AdapterKind,
    private readonly prefix: string,
    parameters: ReadonlyMap<string, Shape>,
    where: string,
  ) {
    const shapes = adaptableModules(parameters);
    this.targets = kind.targets ?? defaultTargets(prefix);
    this.modules = new Map(
      targetedModules(this.targets, shapes, where).map((name) => [
        name,
        kind.module(name, shapes.get(name) as Shape, where),
      ]),
    );
  }

  /** Trainable parameters by name. */
  get parameters(): Map<string, Shape> {
    const shapes = new Map<string, Shape>();
    for (const [module, { parts }] of this.modules)
      for (const [part, shape] of parts) shapes.set(parameterName(this.prefix, module, part), shape);
    return shapes;
  }

  /** Computes what follows from the frozen weights; before anything else. */
  async prepare(read: ReadWeight): Promise<void> {
    const constants = new Map<string, PartTensors>();
    for (const [module, adapter] of this.modules) constants.set(module, await adapter.constants(() => read(module)));
    this.constants = constants;
  }

  /** Start values by parameter name; each depends on (seed, name) only. */
  async start(rng: Rng, read: ReadWeight): Promise<Record<string, HostTensor>> {
    const values: Record<string, HostTensor> = {};
    for (const [module, adapter] of this.modules) {
      const name = (part: string): string => parameterName(this.prefix, module, part);
      const parts = await adapter.start(
        (part) => rng.stream(`init ${name(part)}`),
        () => read(module),
      );
      for (const part of adapter.parts.keys()) values[name(part)] = parts[part];
    }
    return values;
  }

  /** `base` with trainable parts on its modules. @param leaf what stands for a parameter in the graph */
  source(base: ParamSource, leaf: (name: string, shape: Shape) => Tensor = parameter): ParamSource {
    const leaves = new Map<string, Tensor>();
    const part =
      (module: string, adapter: ModuleAdapter): Leaf =>
      (name) => {
        const key = parameterName(this.prefix, module, name);
        const shape = adapter.parts.get(name);
        const made =
          leaves.get(key) ?? (shape ? leaf(key, shape) : fixed(key, this.constants.get(module)?.[name] as HostTensor));
        leaves.set(key, made);
        return made;
      };
    return withAdapters(base, (module) => {
      const adapter = this.modules.get(module);
      return adapter && bound(adapter, part(module, adapter), 1);
    });
  }

  /** The trained modules, on the plain frozen weights. @param values by parameter name */
  trained(values: Readonly<Record<string, HostTensor>>): AdapterValues {
    return new Map(
      [...this.modules].map(([module, adapter]) => {
        const own = [...adapter.parts.keys()].map((part) => [part, values[parameterName(this.prefix, module, part)]]);
        const constants = this.constants.get(module) ?? {};
        return [module, adapter.withoutConstants(Object.fromEntries(own) as PartTensors, constants)];
      }),
    );
  }
}

/** `base` with trained modules applied, beside those that it has. @param strength 1 as trained */
export function adaptedSource(base: ParamSource, values: AdapterValues, strength = 1): ParamSource {
  return withAdapters(base, (module) => {
    const found = values.get(module);
    return found && bound(found.adapter, (part) => fixed(`${module}.${part}`, found.values[part]), strength);
  });
}

const fixed = (key: string, value: HostTensor): Tensor =>
  weight({ key, value }, { dtype: 'float32', shape: value.shape });

const bound = (adapter: ModuleAdapter, part: Leaf, strength: number): Adapter => ({
  answer: (layer) => adapter.answer(layer, part, strength),
  change: (layer) => adapter.change(layer, part, strength),
});

function withAdapters(base: ParamSource, own: (module: string) => Adapter | undefined): ParamSource {
  return {
    get: (name, shape) => base.get(name, shape),
    adapter: (module, shape) => {
      const [below, above] = [base.adapter?.(module, shape), own(module)];
      return below && above ? both(below, above) : (below ?? above);
    },
    ...(base.tap && { tap: (module: string, out: Tensor) => base.tap?.(module, out) }),
  };
}

/** As PEFT adds several adapters: each changes the answer of the frozen weight. */
function both(first: Adapter, second: Adapter): Adapter {
  const change = (layer: AdaptedLayer): Tensor => add(first.change(layer), second.change(layer));
  return { answer: (layer) => add(first.answer(layer), second.change(layer)), change };
}
